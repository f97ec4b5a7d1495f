//! Which hosts may see reports.
//!
//! Reports are patient data. Unless the configuration allows it in so many words, they go to
//! addresses of this machine or of a private network only, whatever a name resolves to, at the
//! moment of every connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Resolves names and refuses public addresses.
#[derive(Debug, Default)]
pub(super) struct PrivateResolver {
    inner: DefaultResolver,
}

impl Resolver for PrivateResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = self.inner.resolve(uri, config, timeout)?;
        match first_public(&addresses) {
            None => Ok(addresses),
            Some(address) => Err(ureq::Error::Io(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                format!("{address} is a public address"),
            ))),
        }
    }
}

/// The first address that is neither of this machine nor of a private network.
pub(super) fn first_public(addresses: &[SocketAddr]) -> Option<IpAddr> {
    addresses.iter().map(SocketAddr::ip).find(|ip| !is_private(*ip))
}

fn is_private(ip: IpAddr) -> bool {
    let private_v4 = |ip: Ipv4Addr| ip.is_loopback() || ip.is_private() || ip.is_link_local();
    match ip {
        IpAddr::V4(ip) => private_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => private_v4(ip),
            None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    use ureq::unversioned::transport::DefaultConnector;

    use super::*;

    #[test]
    fn private_and_public_addresses_are_told_apart() {
        let check = |address: &str, expected| {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        };
        for address in
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "::1", "fd00::1"]
        {
            check(address, true);
        }
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "::",
            "2001:db8::1",
            "::ffff:8.8.8.8",
        ] {
            check(address, false);
        }
        check("::ffff:10.0.0.1", true);
    }

    #[test]
    fn a_connection_to_a_public_address_is_refused() {
        let resolver = PrivateResolver::default();
        let agent =
            ureq::Agent::with_parts(Config::default(), DefaultConnector::default(), resolver);
        let error = agent.get("http://8.8.8.8/v1").call().unwrap_err();
        assert_eq!(error.to_string(), "io: 8.8.8.8 is a public address");
    }
}

//! nftables: nothing comes in or goes out but what the settings name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Effect, File};
use crate::settings::Checked;

/// Where the box may connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Destination {
    /// From a URL.
    fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
        let default = if scheme == "https" { 443 } else { 80 };
        let port_of = |text: &str| text.strip_prefix(':').map_or(Some(default), |p| p.parse().ok());
        let (host, port) = match authority.strip_prefix('[') {
            Some(inside) => {
                let (host, port) = inside.split_once(']')?;
                (host, port_of(port)?)
            }
            None => {
                let end = authority.find(':').unwrap_or(authority.len());
                let (host, port) = authority.split_at(end);
                (host, port_of(port)?)
            }
        };
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

/// Everything that the settings have the box connect to by TCP, each once.
#[must_use]
pub fn destinations(checked: &Checked) -> BTreeSet<Destination> {
    let settings = &checked.settings;
    let results = &settings.results;
    let at = |host: &str, port: u16| Destination { host: host.to_owned(), port };
    let peers = settings.dicom.peers.iter().map(|peer| at(&peer.host, peer.port));
    let archives = results.archives.iter().map(|one| at(&one.host, one.port));
    let receivers = results.hl7.iter().map(|one| at(&one.host, one.port));
    let urls = results.fhir.iter().map(|one| one.url.as_str());
    let urls = urls.chain(results.stow.iter().map(|one| one.url.as_str()));
    let urls = urls.chain([settings.hub.url.as_str()]).filter_map(Destination::of);
    peers.chain(archives).chain(receivers).chain(urls).collect()
}

/// `/run/prima/firewall.nft`, nft(8).
///
/// Destinations that are named, not numbered, are looked up by `firmware-config names` every few
/// minutes and put into the sets `named4` and `named6` with a time to live.
pub(super) fn file(checked: &Checked) -> File {
    let mut text = String::from("table inet prima\ndelete table inet prima\ntable inet prima {\n");
    for (set, kind, v6) in [("out4", "ipv4_addr", false), ("out6", "ipv6_addr", true)] {
        text += &format!("  set {set} {{\n");
        text += &format!("    type {kind} . inet_service;\n");
        let known: Vec<String> = destinations(checked)
            .into_iter()
            .filter_map(|there| Some((there.host.parse::<IpAddr>().ok()?, there.port)))
            .filter(|(address, _)| address.is_ipv6() == v6)
            .map(|(address, port)| format!("{address} . {port}"))
            .collect();
        if !known.is_empty() {
            text += &format!("    elements = {{ {} }}\n", known.join(", "));
        }
        text += "  }\n";
    }
    for (set, kind) in [("named4", "ipv4_addr"), ("named6", "ipv6_addr")] {
        text += &format!("  set {set} {{\n    type {kind} . inet_service; flags timeout;\n  }}\n");
    }
    text += &input(checked);
    text += "  chain forward {\n    type filter hook forward priority filter; policy drop;\n  }\n";
    text += &output(checked);
    text += "}\n";
    File::new("/run/prima/firewall.nft", &text, &[Effect::restart("prima-firewall.service")])
}

/// What holds in both directions. Neighbour discovery is part of IPv6 as ARP is not of IPv4. ICMP
/// and `ICMPv6` by number: their names are in a file that a small system lacks.
const BOTH: &str = "    ct state established,related accept\n    ct state invalid drop\n    \
                    meta l4proto { 1, 58 } accept\n";

fn input(checked: &Checked) -> String {
    let settings = &checked.settings;
    let mut text = String::from(
        "  chain input {\n    type filter hook input priority filter; policy drop;\n    \
         iif lo accept\n",
    );
    text += BOTH;
    text += "    udp sport 67 udp dport 68 accept\n    udp sport 547 udp dport 546 accept\n";
    let dicom: Vec<String> = [settings.dicom.port, settings.dicom.tls.port]
        .iter()
        .filter(|port| **port != 0)
        .map(u16::to_string)
        .collect();
    let dicom = format!("tcp dport {{ {} }} accept", dicom.join(", "));
    if checked.networks.is_empty() {
        // As dicom.networks says: every one.
        text += &format!("    {dicom}\n");
    } else {
        let peers = settings.dicom.peers.iter().map(|peer| peer.host.as_str());
        let peers = peers.chain(settings.results.archives.iter().map(|one| one.host.as_str()));
        let peers = peers.filter_map(|host| host.parse::<IpAddr>().ok()).map(IpNet::from);
        let from: Vec<IpNet> = checked.networks.iter().copied().chain(peers).collect();
        text += &rule("saddr", &from, &dicom);
    }
    if !checked.web_listen.ip().is_loopback() {
        let pages = format!("tcp dport {} accept", checked.web_listen.port());
        text += &rule("saddr", &checked.machine.page_networks, &pages);
    }
    text += &rule("saddr", &checked.machine.ssh_networks, "tcp dport 22 accept");
    text += &rule("saddr", &checked.machine.serve_networks, "udp dport 123 accept");
    text + "    counter comment \"refused\"\n  }\n"
}

fn output(checked: &Checked) -> String {
    let mut text = String::from(
        "  chain output {\n    type filter hook output priority filter; policy drop;\n    \
         oif lo accept\n",
    );
    text += BOTH;
    text += "    udp sport 68 udp dport 67 accept\n    udp sport 546 udp dport 547 accept\n";
    for set in ["out", "named"] {
        text += &format!("    ip daddr . tcp dport @{set}4 accept\n");
        text += &format!("    ip6 daddr . tcp dport @{set}6 accept\n");
    }
    // A UPS on the network: SNMP, or another machine's NUT.
    let ups = checked.settings.ups.port.rsplit('@').next().and_then(|host| host.parse().ok());
    let ups: Vec<IpNet> = ups.map(|address: IpAddr| address.into()).into_iter().collect();
    text += &rule("daddr", &ups, "udp dport 161 accept");
    text += &rule("daddr", &ups, "tcp dport 3493 accept");
    // Name servers that DHCP names are not known here.
    let servers: Vec<IpNet> = checked.machine.name_servers.iter().map(|ip| (*ip).into()).collect();
    let names = "meta l4proto { tcp, udp } th dport 53 accept";
    if servers.is_empty() {
        text += &format!("    {names}\n");
    } else {
        text += &rule("daddr", &servers, names);
    }
    if !checked.settings.clock.servers.is_empty() {
        text += "    udp dport 123 accept\n";
    }
    // A program that may not connect should know at once.
    text + "    counter reject with icmpx admin-prohibited\n  }\n"
}

/// A rule for some networks, which may be of both kinds; none for none.
fn rule(side: &str, networks: &[IpNet], verdict: &str) -> String {
    let mut text = String::new();
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
        networks.iter().partition(|network| matches!(network, IpNet::V4(_)));
    for (family, of_it) in [("ip", v4), ("ip6", v6)] {
        // A set takes no networks that overlap.
        let joined: Vec<String> =
            IpNet::aggregate(&of_it).iter().map(|network| network.trunc().to_string()).collect();
        if !joined.is_empty() {
            text += &format!("    {family} {side} {{ {} }} {verdict}\n", joined.join(", "));
        }
    }
    text
}

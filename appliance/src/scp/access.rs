//! Who may associate, and how the others are told (PS3.8 9.3.4).

use std::net::IpAddr;

use dicom_ul::pdu::{
    AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason,
    AssociationRJSource, AssociationRQ,
};
use ipnet::IpNet;

/// DICOM application context name (PS3.7 A.2.1).
pub(super) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

/// Who may associate. An empty list admits everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// AE titles under which we may be called.
    pub called: Vec<String>,
    /// AE titles that may call.
    pub calling: Vec<String>,
    /// Networks that may call.
    pub networks: Vec<IpNet>,
}

/// Why an association is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(super) enum Rejection {
    #[error("too many associations are open")]
    LimitExceeded,
    #[error("the appliance is stopping")]
    Stopping,
    #[error("its address is in none of the allowed networks")]
    Network,
    #[error("its certificate is not among the allowed ones")]
    Certificate,
    #[error("it calls an AE title that is not ours")]
    Called,
    #[error("its AE title is not allowed")]
    Calling,
    #[error("its application context is not DICOM's")]
    ApplicationContext,
    #[error("its protocol version is not 1")]
    Version,
}

impl Rejection {
    /// Result, source and reason. What may be over in a while is transient; a scanner tries again
    /// then by itself.
    pub(super) fn pdu(self) -> AssociationRJ {
        use AssociationRJServiceProviderPresentationReason as Presentation;
        use AssociationRJServiceUserReason as User;
        use AssociationRJSource::{ServiceProviderASCE, ServiceProviderPresentation, ServiceUser};
        let (result, source) = match self {
            Self::LimitExceeded => (
                AssociationRJResult::Transient,
                ServiceProviderPresentation(Presentation::LocalLimitExceeded),
            ),
            Self::Stopping => (
                AssociationRJResult::Transient,
                ServiceProviderPresentation(Presentation::TemporaryCongestion),
            ),
            // The standard has no reason for these two.
            Self::Network | Self::Certificate => {
                (AssociationRJResult::Permanent, ServiceUser(User::NoReasonGiven))
            }
            Self::Called => {
                (AssociationRJResult::Permanent, ServiceUser(User::CalledAETitleNotRecognized))
            }
            Self::Calling => {
                (AssociationRJResult::Permanent, ServiceUser(User::CallingAETitleNotRecognized))
            }
            Self::ApplicationContext => (
                AssociationRJResult::Permanent,
                ServiceUser(User::ApplicationContextNameNotSupported),
            ),
            Self::Version => (
                AssociationRJResult::Permanent,
                ServiceProviderASCE(
                    AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported,
                ),
            ),
        };
        AssociationRJ { result, source }
    }
}

impl Access {
    /// Whether this address may connect at all.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&address))
    }

    /// What is wrong with a request, in the order in which PS3.8 lists the reasons.
    pub(super) fn check(&self, request: &AssociationRQ) -> Result<(), Rejection> {
        let listed = |list: &[String], title: &str| {
            list.is_empty() || list.iter().any(|allowed| allowed.trim() == title)
        };
        if request.protocol_version & 1 == 0 {
            return Err(Rejection::Version);
        }
        if request.application_context_name.trim_matches(['\0', ' ']) != APPLICATION_CONTEXT {
            return Err(Rejection::ApplicationContext);
        }
        if !listed(&self.called, &request.called_ae_title) {
            return Err(Rejection::Called);
        }
        if !listed(&self.calling, &request.calling_ae_title) {
            return Err(Rejection::Calling);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut AssociationRQ), expected: Result<(), Rejection>) {
            let access = Access {
                called: vec!["PRIMA".to_owned()],
                calling: vec!["SCANNER1".to_owned(), "SCANNER2".to_owned()],
                networks: Vec::new(),
            };
            let mut request = AssociationRQ {
                protocol_version: 1,
                calling_ae_title: "SCANNER2".to_owned(),
                called_ae_title: "PRIMA".to_owned(),
                application_context_name: APPLICATION_CONTEXT.to_owned(),
                presentation_contexts: Vec::new(),
                user_variables: Vec::new(),
            };
            change(&mut request);
            assert_eq!(access.check(&request), expected);
            assert_eq!(
                Access::default().check(&request).is_ok(),
                !matches!(expected, Err(Rejection::Version | Rejection::ApplicationContext))
            );
        }
        check(|_| (), Ok(()));
        check(|r| r.protocol_version = 3, Ok(()));
        check(|r| r.protocol_version = 2, Err(Rejection::Version));
        check(|r| r.application_context_name.push('\0'), Ok(()));
        check(|r| r.application_context_name.clear(), Err(Rejection::ApplicationContext));
        check(|r| r.called_ae_title = "prima".to_owned(), Err(Rejection::Called));
        check(|r| r.calling_ae_title = "OTHER".to_owned(), Err(Rejection::Calling));
    }

    #[test]
    fn networks() {
        #[track_caller]
        fn check(networks: &[&str], address: &str, expected: bool) {
            let networks = networks.iter().map(|net| net.parse().unwrap()).collect();
            let access = Access { networks, ..Access::default() };
            assert_eq!(access.admits(address.parse().unwrap()), expected);
        }
        check(&[], "192.0.2.7", true);
        check(&["192.0.2.0/24"], "192.0.2.7", true);
        check(&["192.0.2.0/24"], "198.51.100.7", false);
        check(&["192.0.2.0/24", "2001:db8::/32"], "2001:db8::7", true);
    }
}

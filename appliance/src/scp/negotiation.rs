//! What is agreed at the start of an association: presentation contexts, lengths, roles.

use std::collections::BTreeMap;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason as Reason, RequestorRoles, UserVariableItem,
};

use super::access::APPLICATION_CONTEXT;
use super::identifier::Model;
use super::pdu::MAX_PDU;
use crate::archive::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};

/// All storage classes for patients' objects stand below this one.
const STORAGE_CLASSES: &str = "1.2.840.10008.5.1.4.1.1.";
/// Encapsulated pixel data: JPEG, JPEG-LS, JPEG 2000, HTJ2K, JPEG XL, MPEG, HEVC.
const ENCAPSULATED: &str = "1.2.840.10008.1.2.4.";
/// Explicit VR Big Endian: retired from the standard, but not from scanners.
const EXPLICIT_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// An accepted presentation context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) abstract_syntax: String,
    pub(super) transfer_syntax: String,
    /// The peer stores what is sent on it, for C-GET (PS3.4 C.4.3).
    pub(super) peer_stores: bool,
    /// Queries need not name what is above their level (PS3.4 C.5.1.1).
    pub(super) relational: bool,
}

impl Context {
    pub(super) fn is_storage(&self) -> bool {
        !is_service(&self.abstract_syntax)
    }

    /// Takes over what was answered about its SOP class.
    fn note(&mut self, extras: &[UserVariableItem]) {
        for extra in extras {
            match extra {
                UserVariableItem::ScuScpRoleSelectionSubItem(class, roles)
                    if trim(class) == self.abstract_syntax =>
                {
                    self.peer_stores = roles.scp;
                }
                UserVariableItem::SopClassExtendedNegotiationSubItem(class, answer)
                    if trim(class) == self.abstract_syntax =>
                {
                    self.relational = answer.first() == Some(&1);
                }
                _ => {}
            }
        }
    }
}

/// What was agreed.
#[derive(Debug)]
pub(super) struct Agreement {
    /// By presentation context id.
    pub(super) contexts: BTreeMap<u8, Context>,
    /// Longest P-DATA that the peer takes, in bytes after the header.
    pub(super) max_pdu: usize,
    /// The answer.
    pub(super) answer: AssociationAC,
}

/// Decides on a request that was admitted, of a peer that may query and retrieve or may not.
/// Further user information (identity, asynchronous operations) is left unanswered, which PS3.7
/// D.3.3 defines as "not supported": one operation at a time, no identity needed.
pub(super) fn agree(
    request: &AssociationRQ,
    private_classes: &[String],
    queries: bool,
) -> Agreement {
    let extras: Vec<_> =
        request.user_variables.iter().filter_map(|item| extra(item, queries)).collect();
    let mut contexts = BTreeMap::new();
    let mut results = Vec::with_capacity(request.presentation_contexts.len());
    for proposed in &request.presentation_contexts {
        let result = match choose(proposed, private_classes, queries) {
            // PS3.8 9.3.2.2 wants odd ids, each once.
            _ if proposed.id % 2 == 0 || contexts.contains_key(&proposed.id) => {
                Err(Reason::NoReason)
            }
            Ok(mut context) => {
                let transfer_syntax = context.transfer_syntax.clone();
                context.note(&extras);
                contexts.insert(proposed.id, context);
                Ok(transfer_syntax)
            }
            Err(reason) => Err(reason),
        };
        results.push(match result {
            Ok(transfer_syntax) => PresentationContextResult {
                id: proposed.id,
                reason: Reason::Acceptance,
                transfer_syntax,
            },
            // The transfer syntax of a refusal means nothing, but must be there.
            Err(reason) => PresentationContextResult {
                id: proposed.id,
                reason,
                transfer_syntax: uids::IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            },
        });
    }
    let mut user_variables = vec![
        UserVariableItem::MaxLength(MAX_PDU),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
        UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
    ];
    user_variables.extend(extras);
    let answer = AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: results,
        user_variables,
    };
    Agreement { contexts, max_pdu: peer_max_pdu(&request.user_variables), answer }
}

/// The answer to an item about one SOP class. The peer may be SCU where it asks for that; SCP only
/// for storage, if it may retrieve, and for storage commitment, because it reports on what we asked
/// (PS3.7 D.3.3.4, PS3.4 J.3.3). Of extended negotiation the first byte is answered, relational
/// queries and retrieval (PS3.4 C.5.1.1, C.5.2.1, C.5.3.1).
fn extra(item: &UserVariableItem, queries: bool) -> Option<UserVariableItem> {
    match item {
        UserVariableItem::ScuScpRoleSelectionSubItem(class, proposed) => {
            let reports = trim(class) == uids::STORAGE_COMMITMENT_PUSH_MODEL;
            let scp = proposed.scp && (reports || queries && !is_service(trim(class)));
            let roles = RequestorRoles { scu: proposed.scu, scp };
            Some(UserVariableItem::ScuScpRoleSelectionSubItem(class.clone(), roles))
        }
        UserVariableItem::SopClassExtendedNegotiationSubItem(class, asked)
            if queries && Model::of(trim(class)).is_some() =>
        {
            let relational = asked.first().is_some_and(|byte| *byte == 1);
            let answer = vec![u8::from(relational)];
            Some(UserVariableItem::SopClassExtendedNegotiationSubItem(class.clone(), answer))
        }
        _ => None,
    }
}

/// Longest P-DATA for this peer. Zero means no limit; a limit too small for any message is taken
/// for an error and raised.
pub(super) fn peer_max_pdu(items: &[UserVariableItem]) -> usize {
    let announced = items.iter().find_map(|item| match item {
        UserVariableItem::MaxLength(length) => Some(*length),
        _ => None,
    });
    let length = announced.filter(|&length| length != 0).unwrap_or(MAX_PDU).clamp(128, MAX_PDU);
    usize::try_from(length).unwrap_or(128)
}

fn choose(
    proposed: &PresentationContextProposed,
    private: &[String],
    queries: bool,
) -> Result<Context, Reason> {
    let abstract_syntax = trim(&proposed.abstract_syntax);
    let storage = abstract_syntax.starts_with(STORAGE_CLASSES)
        || private.iter().any(|class| class == abstract_syntax && !is_service(class));
    let refused = Model::of(abstract_syntax).is_some() && !queries;
    if refused || !storage && !is_service(abstract_syntax) {
        return Err(Reason::AbstractSyntaxNotSupported);
    }
    let mut offered = proposed.transfer_syntaxes.iter().map(|uid| trim(uid));
    let first = offered
        .find(|uid| if storage { is_storable(uid) } else { is_little_endian(uid) })
        .ok_or(Reason::TransferSyntaxesNotSupported)?;
    let mut all = proposed.transfer_syntaxes.iter().map(|uid| trim(uid));
    // The peer's order counts, because its first is mostly how the image lies on its disk. Only
    // between the uncompressed ones Explicit VR Little Endian wins: with implicit VR the types of
    // private elements, where vendors keep their diffusion tables, are lost.
    let native = matches!(first, uids::IMPLICIT_VR_LITTLE_ENDIAN | EXPLICIT_BIG_ENDIAN);
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let transfer_syntax = if native && all.any(|uid| uid == explicit) { explicit } else { first };
    Ok(Context {
        abstract_syntax: abstract_syntax.to_owned(),
        transfer_syntax: transfer_syntax.to_owned(),
        peer_stores: false,
        relational: false,
    })
}

fn is_service(abstract_syntax: &str) -> bool {
    matches!(abstract_syntax, uids::VERIFICATION | uids::STORAGE_COMMITMENT_PUSH_MODEL)
        || Model::of(abstract_syntax).is_some()
}

fn is_little_endian(uid: &str) -> bool {
    matches!(uid, uids::IMPLICIT_VR_LITTLE_ENDIAN | uids::EXPLICIT_VR_LITTLE_ENDIAN)
}

/// Everything whose pixels are in the data set, whether this system decodes it or not: better an
/// image that waits for a decoder than one that the scanner deletes. JPIP is left out, because it
/// sends an address in place of the pixels.
fn is_storable(uid: &str) -> bool {
    let native = matches!(
        uid,
        uids::IMPLICIT_VR_LITTLE_ENDIAN
            | uids::EXPLICIT_VR_LITTLE_ENDIAN
            | EXPLICIT_BIG_ENDIAN
            | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN
    );
    let jpip = matches!(
        uid,
        uids::JPIP_REFERENCED
            | uids::JPIP_REFERENCED_DEFLATE
            | uids::JPIPHTJ2K_REFERENCED
            | uids::JPIPHTJ2K_REFERENCED_DEFLATE
    );
    let compressed = matches!(uid, uids::RLE_LOSSLESS | uids::DEFLATED_IMAGE_FRAME_COMPRESSION)
        || uid.starts_with(ENCAPSULATED);
    native || (compressed && !jpip)
}

/// Some peers pad UIDs in PDUs as in data sets, which PS3.8 F does not allow.
fn trim(uid: &str) -> &str {
    uid.trim_matches(['\0', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    const MR: &str = uids::MR_IMAGE_STORAGE;

    #[test]
    fn contexts() {
        #[track_caller]
        fn check(abstract_syntax: &str, offered: &[&str], expected: Result<&str, Reason>) {
            let proposed = PresentationContextProposed {
                id: 1,
                abstract_syntax: abstract_syntax.to_owned(),
                transfer_syntaxes: offered.iter().map(|&uid| uid.to_owned()).collect(),
            };
            let chosen = choose(&proposed, &["1.2.3.4".to_owned()], false);
            assert_eq!(chosen.map(|c| c.transfer_syntax), expected.map(str::to_owned));
        }
        let jpeg = uids::JPEG_LOSSLESS_SV1;
        check(MR, &[IMPLICIT], Ok(IMPLICIT));
        check(MR, &[IMPLICIT, EXPLICIT], Ok(EXPLICIT));
        check(MR, &[EXPLICIT_BIG_ENDIAN, EXPLICIT], Ok(EXPLICIT));
        check(MR, &[EXPLICIT_BIG_ENDIAN, IMPLICIT], Ok(EXPLICIT_BIG_ENDIAN));
        check(MR, &[jpeg, EXPLICIT], Ok(jpeg));
        check(MR, &[uids::JPIP_REFERENCED, jpeg], Ok(jpeg));
        check(MR, &["1.2.840.10008.1.2.1\0"], Ok(EXPLICIT));
        check(MR, &[uids::JPIP_REFERENCED], Err(Reason::TransferSyntaxesNotSupported));
        check(MR, &["1.2.840.113619.5.2"], Err(Reason::TransferSyntaxesNotSupported));
        check(MR, &[], Err(Reason::TransferSyntaxesNotSupported));
        check("1.2.840.10008.5.1.4.1.1.104.1", &[IMPLICIT], Ok(IMPLICIT));
        check("1.2.840.10008.5.1.4.1.1.99999", &[IMPLICIT], Ok(IMPLICIT));
        check("1.2.3.4", &[IMPLICIT], Ok(IMPLICIT));
        check("1.2.3.4.5", &[IMPLICIT], Err(Reason::AbstractSyntaxNotSupported));
        // Query and retrieve are for those who are listed.
        check("1.2.840.10008.5.1.4.1.2.2.1", &[IMPLICIT], Err(Reason::AbstractSyntaxNotSupported));
        check(uids::VERIFICATION, &[jpeg, IMPLICIT], Ok(IMPLICIT));
        check(uids::VERIFICATION, &[jpeg], Err(Reason::TransferSyntaxesNotSupported));
        check(uids::STORAGE_COMMITMENT_PUSH_MODEL, &[EXPLICIT], Ok(EXPLICIT));
    }

    #[test]
    fn the_answer() {
        let context = |id| PresentationContextProposed {
            id,
            abstract_syntax: MR.to_owned(),
            transfer_syntaxes: vec![IMPLICIT.to_owned()],
        };
        let asked = RequestorRoles { scu: true, scp: true };
        let role = |roles| UserVariableItem::ScuScpRoleSelectionSubItem(MR.to_owned(), roles);
        let commitment = UserVariableItem::ScuScpRoleSelectionSubItem(
            uids::STORAGE_COMMITMENT_PUSH_MODEL.to_owned(),
            RequestorRoles { scu: false, scp: true },
        );
        let request = AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "SCANNER1".to_owned(),
            called_ae_title: "PRIMA".to_owned(),
            application_context_name: APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: vec![context(1), context(2), context(1), context(255)],
            user_variables: vec![
                UserVariableItem::MaxLength(16384),
                role(asked),
                commitment.clone(),
            ],
        };
        let Agreement { contexts, max_pdu, answer } = agree(&request, &[], false);
        assert_eq!(contexts.keys().collect::<Vec<_>>(), [&1, &255]);
        assert_eq!(max_pdu, 16384);
        let reasons: Vec<_> =
            answer.presentation_contexts.iter().map(|c| (c.id, c.reason.clone())).collect();
        let (yes, no) = (Reason::Acceptance, Reason::NoReason);
        assert_eq!(reasons, [(1, yes.clone()), (2, no.clone()), (1, no), (255, yes)]);
        assert_eq!(answer.user_variables[0], UserVariableItem::MaxLength(131_072));
        assert_eq!(answer.user_variables[3], role(RequestorRoles { scu: true, scp: false }));
        assert_eq!(answer.user_variables[4], commitment);
    }

    #[test]
    fn those_who_may_query() {
        const FIND: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
        let context = |id, class: &str| PresentationContextProposed {
            id,
            abstract_syntax: class.to_owned(),
            transfer_syntaxes: vec![IMPLICIT.to_owned()],
        };
        let both = RequestorRoles { scu: true, scp: true };
        let role = |class: &str, roles| {
            UserVariableItem::ScuScpRoleSelectionSubItem(class.to_owned(), roles)
        };
        let extended = |bytes: &[u8]| {
            UserVariableItem::SopClassExtendedNegotiationSubItem(FIND.to_owned(), bytes.to_vec())
        };
        let request = AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "PACS".to_owned(),
            called_ae_title: "PRIMA".to_owned(),
            application_context_name: APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: vec![context(1, FIND), context(3, MR)],
            user_variables: vec![extended(&[1, 1, 1]), role(MR, both), role(FIND, both)],
        };
        let Agreement { contexts, answer, .. } = agree(&request, &[], true);
        assert!(contexts[&1].relational && !contexts[&1].peer_stores && !contexts[&1].is_storage());
        assert!(contexts[&3].peer_stores && !contexts[&3].relational);
        let scu = RequestorRoles { scu: true, scp: false };
        let said = [extended(&[1]), role(MR, both), role(FIND, scu)];
        assert_eq!(answer.user_variables[3..], said);

        let Agreement { contexts, answer, .. } = agree(&request, &[], false);
        assert_eq!(contexts.keys().collect::<Vec<_>>(), [&3]);
        assert!(!contexts[&3].peer_stores);
        assert_eq!(answer.user_variables[3..], [role(MR, scu), role(FIND, scu)]);
        let reason = &answer.presentation_contexts[0].reason;
        assert_eq!(*reason, Reason::AbstractSyntaxNotSupported);
    }

    #[test]
    fn lengths() {
        #[track_caller]
        fn check(announced: Option<u32>, expected: usize) {
            let items: Vec<_> = announced.into_iter().map(UserVariableItem::MaxLength).collect();
            assert_eq!(peer_max_pdu(&items), expected);
        }
        check(None, 131_072);
        check(Some(0), 131_072);
        check(Some(16_384), 16_384);
        check(Some(u32::MAX), 131_072);
        check(Some(1), 128);
    }
}

//! DIMSE commands: the few elements of group 0000 that this server reads and writes.
//!
//! A command set is always Implicit VR Little Endian and flat (PS3.7 6.3.1), so its codec fits in
//! one file. Every length is checked against the bytes that are there.

/// Command Field values (PS3.7 E.1-1). A response has the highest bit set.
pub(super) mod field {
    pub(in crate::scp) const C_STORE_RQ: u16 = 0x0001;
    pub(in crate::scp) const C_STORE_RSP: u16 = 0x8001;
    pub(in crate::scp) const C_GET_RQ: u16 = 0x0010;
    pub(in crate::scp) const C_FIND_RQ: u16 = 0x0020;
    pub(in crate::scp) const C_MOVE_RQ: u16 = 0x0021;
    pub(in crate::scp) const C_ECHO_RQ: u16 = 0x0030;
    pub(in crate::scp) const C_CANCEL_RQ: u16 = 0x0FFF;
    pub(in crate::scp) const N_EVENT_REPORT_RQ: u16 = 0x0100;
    pub(in crate::scp) const N_EVENT_REPORT_RSP: u16 = 0x8100;
    pub(in crate::scp) const N_ACTION_RQ: u16 = 0x0130;
    pub(in crate::scp) const N_ACTION_RSP: u16 = 0x8130;
    pub(in crate::scp) const RESPONSE: u16 = 0x8000;
}

/// Elements of group 0000.
pub(super) mod element {
    pub(in crate::scp) const AFFECTED_CLASS: u16 = 0x0002;
    pub(in crate::scp) const REQUESTED_CLASS: u16 = 0x0003;
    pub(in crate::scp) const FIELD: u16 = 0x0100;
    pub(in crate::scp) const MESSAGE_ID: u16 = 0x0110;
    pub(in crate::scp) const RESPONDED_TO: u16 = 0x0120;
    pub(in crate::scp) const MOVE_DESTINATION: u16 = 0x0600;
    pub(in crate::scp) const PRIORITY: u16 = 0x0700;
    pub(in crate::scp) const DATA_SET_TYPE: u16 = 0x0800;
    pub(in crate::scp) const STATUS: u16 = 0x0900;
    pub(in crate::scp) const ERROR_COMMENT: u16 = 0x0902;
    pub(in crate::scp) const AFFECTED_INSTANCE: u16 = 0x1000;
    pub(in crate::scp) const REQUESTED_INSTANCE: u16 = 0x1001;
    pub(in crate::scp) const EVENT_TYPE: u16 = 0x1002;
    pub(in crate::scp) const ACTION_TYPE: u16 = 0x1008;
    pub(in crate::scp) const REMAINING: u16 = 0x1020;
    pub(in crate::scp) const COMPLETED: u16 = 0x1021;
    pub(in crate::scp) const FAILED: u16 = 0x1022;
    pub(in crate::scp) const WARNING: u16 = 0x1023;
    pub(in crate::scp) const ORIGINATOR: u16 = 0x1030;
    pub(in crate::scp) const ORIGINATOR_MESSAGE: u16 = 0x1031;
}

/// Command Data Set Type: this message has no data set (PS3.7 E.1-1).
pub(super) const NO_DATA_SET: u16 = 0x0101;
/// Command Data Set Type of our messages with one: any other value would do.
pub(super) const WITH_DATA_SET: u16 = 0x0001;
/// Longest Error Comment (0000,0902): VR LO.
const MAX_COMMENT: usize = 64;

/// A command as received. Of an element that occurs twice the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Command Field (0000,0100).
    pub(super) field: u16,
    /// Message ID (0000,0110), or Message ID Being Responded To (0000,0120) of a response.
    pub(super) message_id: u16,
    /// Affected or Requested SOP Class UID.
    pub(super) sop_class: String,
    /// Affected or Requested SOP Instance UID.
    pub(super) sop_instance: String,
    /// A data set follows.
    pub(super) has_data: bool,
    /// Move Destination (0000,0600).
    pub(super) destination: String,
    /// Action Type ID (0000,1008).
    pub(super) action_type: u16,
    /// Status (0000,0900) of a response.
    pub(super) status: u16,
    /// Error Comment (0000,0902) of a response.
    pub(super) comment: String,
}

/// Why bytes are no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommandError {
    /// An element reaches beyond the end.
    #[error("element (0000,{0:04X}) of the command is cut off")]
    CutOff(u16),
    /// Something other than group 0000.
    #[error("the command has an element of group {0:04X}")]
    Group(u16),
    /// A number that is not two bytes, or a UID or AE title that is not ASCII.
    #[error("element (0000,{0:04X}) of the command has no legal value")]
    Value(u16),
    /// Without it nobody can tell what to do or what to answer.
    #[error("the command lacks element (0000,{0:04X})")]
    Missing(u16),
}

/// Reads a command.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Command, CommandError> {
    let mut command = Command::default();
    let (mut field, mut message_id, mut data_set_type) = (None, None, None);
    while !bytes.is_empty() {
        let (number, value, rest) = split_element(bytes)?;
        bytes = rest;
        match number {
            element::FIELD => field = Some(number_of(number, value)?),
            element::MESSAGE_ID | element::RESPONDED_TO => {
                message_id = Some(number_of(number, value)?);
            }
            element::DATA_SET_TYPE => data_set_type = Some(number_of(number, value)?),
            element::STATUS => command.status = number_of(number, value)?,
            element::ERROR_COMMENT => {
                command.comment = printable(&String::from_utf8_lossy(value)).trim().to_owned();
            }
            element::ACTION_TYPE => command.action_type = number_of(number, value)?,
            element::AFFECTED_CLASS | element::REQUESTED_CLASS => {
                command.sop_class = ascii_of(number, value)?;
            }
            element::AFFECTED_INSTANCE | element::REQUESTED_INSTANCE => {
                command.sop_instance = ascii_of(number, value)?;
            }
            element::MOVE_DESTINATION => command.destination = ascii_of(number, value)?,
            // The group length is redundant and often wrong; the others do not concern a server.
            _ => {}
        }
    }
    command.field = field.ok_or(CommandError::Missing(element::FIELD))?;
    command.message_id = message_id.ok_or(CommandError::Missing(element::MESSAGE_ID))?;
    let data_set_type = data_set_type.ok_or(CommandError::Missing(element::DATA_SET_TYPE))?;
    command.has_data = data_set_type != NO_DATA_SET;
    Ok(command)
}

/// The first element's number and value, and what follows.
fn split_element(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), CommandError> {
    let Some((&[group_low, group_high, low, high, a, b, c, d], rest)) = bytes.split_first_chunk()
    else {
        return Err(CommandError::CutOff(0));
    };
    let (group, number) =
        (u16::from_le_bytes([group_low, group_high]), u16::from_le_bytes([low, high]));
    if group != 0 {
        return Err(CommandError::Group(group));
    }
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let (value, rest) = rest.split_at_checked(length).ok_or(CommandError::CutOff(number))?;
    Ok((number, value, rest))
}

fn number_of(number: u16, value: &[u8]) -> Result<u16, CommandError> {
    let bytes = value.try_into().map_err(|_| CommandError::Value(number))?;
    Ok(u16::from_le_bytes(bytes))
}

fn ascii_of(number: u16, value: &[u8]) -> Result<String, CommandError> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
    let text = text.ok_or(CommandError::Value(number))?;
    // PS3.5 9.1 pads with NUL; some pad with a space.
    Ok(text.trim_matches(['\0', ' ']).to_owned())
}

/// A value of a command that is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// VR US.
    Number(u16),
    /// VR UI.
    Uid(&'a str),
    /// VR LO or AE.
    Text(&'a str),
}

/// Writes a command with its group length; `elements` must be in ascending order.
pub(super) fn encode(elements: &[(u16, Value<'_>)]) -> Vec<u8> {
    debug_assert!(elements.is_sorted_by_key(|(number, _)| *number));
    let mut body = Vec::with_capacity(256);
    for &(number, value) in elements {
        let mut bytes = match value {
            Value::Number(value) => value.to_le_bytes().to_vec(),
            Value::Uid(uid) => uid.as_bytes().to_vec(),
            Value::Text(text) => printable(text).into_bytes(),
        };
        if bytes.len() % 2 == 1 {
            bytes.push(if matches!(value, Value::Uid(_)) { 0 } else { b' ' });
        }
        push_element(&mut body, number, &bytes);
    }
    let mut command = Vec::with_capacity(body.len() + 12);
    push_element(&mut command, 0, &length_of(&body).to_le_bytes());
    command.append(&mut body);
    command
}

fn push_element(out: &mut Vec<u8>, number: u16, value: &[u8]) {
    out.extend([0, 0]);
    out.extend(number.to_le_bytes());
    out.extend(length_of(value).to_le_bytes());
    out.extend(value);
}

#[expect(clippy::cast_possible_truncation, reason = "commands we write are below 1 KiB")]
fn length_of(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

/// A comment in the default character repertoire, cut to what an LO holds.
fn printable(text: &str) -> String {
    let legal = |c: char| if c == '\\' || !(' '..='~').contains(&c) { '?' } else { c };
    text.chars().map(legal).take(MAX_COMMENT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command of raw elements (group, number, value).
    fn raw(elements: &[(u16, u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (group, number, value) in elements {
            bytes.extend(group.to_le_bytes());
            bytes.extend(number.to_le_bytes());
            bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
            bytes.extend(*value);
        }
        bytes
    }

    #[track_caller]
    fn refuses(bytes: &[u8], expected: &str) {
        assert_eq!(parse(bytes).unwrap_err().to_string(), expected);
    }

    #[test]
    fn reads_what_it_writes() {
        let bytes = encode(&[
            (element::AFFECTED_CLASS, Value::Uid("1.2.840.10008.1.1")),
            (element::FIELD, Value::Number(field::C_ECHO_RQ)),
            (element::MESSAGE_ID, Value::Number(77)),
            (element::DATA_SET_TYPE, Value::Number(NO_DATA_SET)),
        ]);
        assert_eq!(bytes[..12], [0, 0, 0, 0, 4, 0, 0, 0, 56, 0, 0, 0]);
        let expected = Command {
            field: field::C_ECHO_RQ,
            message_id: 77,
            sop_class: "1.2.840.10008.1.1".to_owned(),
            ..Command::default()
        };
        assert_eq!(parse(&bytes).unwrap(), expected);
    }

    #[test]
    fn refuses_what_is_no_command() {
        refuses(&[], "the command lacks element (0000,0100)");
        refuses(&[0, 0, 0], "element (0000,0000) of the command is cut off");
        refuses(&[0, 0, 2, 0, 255, 255, 255, 255], "element (0000,0002) of the command is cut off");
        refuses(&raw(&[(8, 0, b"")]), "the command has an element of group 0008");
        refuses(&raw(&[(0, 0x100, b"1")]), "element (0000,0100) of the command has no legal value");
        refuses(&raw(&[(0, 2, &[0xff])]), "element (0000,0002) of the command has no legal value");
        let mut elements = vec![(0, 0x100, &[0x30, 0][..])];
        refuses(&raw(&elements), "the command lacks element (0000,0110)");
        elements.push((0, 0x110, &[1, 0]));
        refuses(&raw(&elements), "the command lacks element (0000,0800)");
    }

    #[test]
    fn comments_are_cut_and_printable() {
        assert_eq!(printable("a\\b\u{e9}\n"), "a?b??");
        assert_eq!(printable(&"x".repeat(99)).len(), MAX_COMMENT);
    }
}

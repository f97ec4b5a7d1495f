//! The stack machine behind [`super::Pickle`]: one small function per family of opcodes.
//!
//! Opcodes are named as in Python's `pickletools`. No length in the file is believed: text and
//! bytes are taken from what is really there, and nodes, stack, marks and memo have limits.

use std::collections::HashMap;

use super::{Node, NodeId, Object};

/// The published model has about two hundred thousand.
const MAX_NODES: usize = 2_000_000;
/// Entries of the stack; Python writes containers in batches of a thousand.
const MAX_STACK: usize = 1_000_000;
/// Containers that are open at the same time.
const MAX_MARKS: usize = 10_000;

/// A pickle that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("pickle byte {offset}, opcode {opcode}: {problem}")]
pub struct PickleError {
    /// Position of the opcode.
    pub offset: usize,
    /// Its name.
    pub opcode: &'static str,
    /// What is wrong.
    pub problem: PickleProblem,
}

/// What is wrong with a pickle.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleProblem {
    /// The data end inside an opcode or before STOP.
    #[error("the data end here; the file is cut short")]
    Truncated,
    /// Not an opcode of protocols 0 to 5.
    #[error("byte {0:#04x} is no opcode of protocols 0 to 5")]
    Unknown(u8),
    /// An opcode that refers to something a checkpoint file cannot hold.
    #[error("{0} is not supported in a checkpoint")]
    Unsupported(&'static str),
    /// The stack holds too little.
    #[error("the stack holds too few values")]
    StackUnderflow,
    /// No MARK to go back to.
    #[error("no container is open")]
    NoMark,
    /// A memo entry that was never stored.
    #[error("memo entry {0} was never stored")]
    NoMemo(u64),
    /// A value of another kind than the opcode works on.
    #[error("{0} is expected on the stack")]
    WrongKind(&'static str),
    /// Text that cannot be decoded.
    #[error("the argument is not {0}")]
    Malformed(&'static str),
    /// A limit of this reader.
    #[error("more than {limit} {what}; a checkpoint needs far fewer")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

use PickleProblem as P;

type Outcome<T> = Result<T, PickleProblem>;

struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<NodeId>,
    marks: Vec<usize>,
    memo: HashMap<u64, NodeId>,
}

/// Runs the opcodes up to STOP.
pub(super) fn run(data: &[u8]) -> Result<(Vec<Node>, NodeId), PickleError> {
    let mut machine = Machine {
        data,
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let offset = machine.at;
        let opcode = data.get(offset).map_or("(end)", |&op| opcode_name(op));
        let fail = |problem| PickleError { offset, opcode, problem };
        if let Some(root) = machine.step().map_err(fail)? {
            return Ok((machine.nodes, root));
        }
    }
}

impl Machine<'_> {
    /// Executes one opcode; gives the root after STOP.
    fn step(&mut self) -> Outcome<Option<NodeId>> {
        let op = self.byte()?;
        match op {
            b'.' => return self.pop().map(Some),
            0x80 => {
                if self.byte()? > 5 {
                    return Err(P::Unsupported("a protocol above 5"));
                }
            }
            // Frames only tell how much to read ahead.
            0x95 => drop(self.take(8)?),
            _ => {
                let known = self.constant(op)?
                    || self.text_or_bytes(op)?
                    || self.container(op)?
                    || self.fill(op)?
                    || self.memo(op)?
                    || self.object(op)?;
                if !known {
                    return Err(P::Unknown(op));
                }
            }
        }
        Ok(None)
    }

    fn constant(&mut self, op: u8) -> Outcome<bool> {
        let node = match op {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'K' => Node::Int(i64::from(self.byte()?)),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            0x8a => {
                let length = usize::from(self.byte()?);
                long(self.take(length)?)
            }
            0x8b => {
                let length = u64::from(u32::from_le_bytes(self.array()?));
                let length = self.length(length)?;
                long(self.take(length)?)
            }
            b'I' => match self.line()? {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                text => Node::Int(text.parse().map_err(|_| P::Malformed("an integer"))?),
            },
            b'L' => {
                let text = self.line()?;
                let digits = text.strip_suffix('L').unwrap_or(text);
                let plain = digits.strip_prefix('-').unwrap_or(digits);
                if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(P::Malformed("an integer"));
                }
                digits.parse().map_or(Node::BigInt, Node::Int)
            }
            b'F' => Node::Float(self.line()?.parse().map_err(|_| P::Malformed("a float"))?),
            _ => return Ok(false),
        };
        self.push(node).map(|()| true)
    }

    fn text_or_bytes(&mut self, op: u8) -> Outcome<bool> {
        let (is_text, length) = match op {
            b'S' | b'V' => {
                let node = self.text_line(op)?;
                return self.push(node).map(|()| true);
            }
            0x8c => (true, u64::from(self.byte()?)),
            b'X' => (true, u64::from(u32::from_le_bytes(self.array()?))),
            0x8d => (true, u64::from_le_bytes(self.array()?)),
            b'C' => (false, u64::from(self.byte()?)),
            b'B' => (false, u64::from(u32::from_le_bytes(self.array()?))),
            0x8e | 0x96 => (false, u64::from_le_bytes(self.array()?)),
            // Python 2 strings: text where they are UTF-8, else bytes.
            b'U' | b'T' => {
                let length = match op {
                    b'U' => u64::from(self.byte()?),
                    _ => u64::from(u32::from_le_bytes(self.array()?)),
                };
                let length = self.length(length)?;
                let bytes = self.take(length)?;
                let node = match std::str::from_utf8(bytes) {
                    Ok(text) => Node::Text(text.into()),
                    Err(_) => Node::Bytes(bytes.into()),
                };
                return self.push(node).map(|()| true);
            }
            _ => return Ok(false),
        };
        let length = self.length(length)?;
        let bytes = self.take(length)?;
        let node = if is_text {
            let text = std::str::from_utf8(bytes).map_err(|_| P::Malformed("UTF-8 text"))?;
            Node::Text(text.into())
        } else {
            Node::Bytes(bytes.into())
        };
        self.push(node).map(|()| true)
    }

    /// Protocol 0 text, one byte a character. Escape sequences do not occur in attribute and class
    /// names, so they are refused rather than decoded.
    fn text_line(&mut self, op: u8) -> Outcome<Node> {
        let line: String = self.raw_line()?.iter().map(|&b| char::from(b)).collect();
        if line.contains('\\') {
            return Err(P::Unsupported("escaped text of protocol 0"));
        }
        if op == b'V' {
            return Ok(Node::Text(line.into()));
        }
        let inner = |quote| line.strip_prefix(quote).and_then(|l| l.strip_suffix(quote));
        let text = inner('\'').or_else(|| inner('"')).ok_or(P::Malformed("quoted text"))?;
        Ok(Node::Text(text.into()))
    }

    fn container(&mut self, op: u8) -> Outcome<bool> {
        let node = match op {
            b'(' => {
                if self.marks.len() == MAX_MARKS {
                    return Err(P::TooMany { what: "open containers", limit: MAX_MARKS });
                }
                self.marks.push(self.stack.len());
                return Ok(true);
            }
            b')' => Node::Tuple(Vec::new()),
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            0x8f => Node::Set(Vec::new()),
            b't' => Node::Tuple(self.pop_mark()?),
            b'l' => Node::List(self.pop_mark()?),
            b'd' => Node::Dict(pairs(&self.pop_mark()?)?),
            0x91 => Node::Set(self.pop_mark()?),
            0x85..=0x87 => {
                let mut items = Vec::with_capacity(3);
                for _ in 0x84..op {
                    items.push(self.pop()?);
                }
                items.reverse();
                Node::Tuple(items)
            }
            _ => return Ok(false),
        };
        self.push(node).map(|()| true)
    }

    /// Opcodes that add to the container below their arguments.
    fn fill(&mut self, op: u8) -> Outcome<bool> {
        let values = match op {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            b'e' | b'u' | 0x90 => self.pop_mark()?,
            _ => return Ok(false),
        };
        let target = self.top()?;
        let target = &mut self.nodes[target.0 as usize];
        match (op, target) {
            (b's' | b'u', Node::Dict(entries)) => entries.extend(pairs(&values)?),
            (b's' | b'u', Node::Object(object)) => object.entries.extend(pairs(&values)?),
            (b'a' | b'e', Node::List(items)) | (0x90, Node::Set(items)) => items.extend(values),
            (b'a' | b'e' | 0x90, Node::Object(object)) => object.items.extend(values),
            (b's' | b'u', _) => return Err(P::WrongKind("a dictionary")),
            _ => return Err(P::WrongKind("a list or set")),
        }
        Ok(true)
    }

    fn memo(&mut self, op: u8) -> Outcome<bool> {
        match op {
            b'0' => {
                // POP also takes back a MARK that nothing was put upon.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.push_id(top)?;
            }
            b'p' | b'q' | b'r' | 0x94 => {
                let index = match op {
                    0x94 => self.memo.len() as u64,
                    _ => self.memo_index(op)?,
                };
                if self.memo.len() == MAX_NODES {
                    return Err(P::TooMany { what: "memo entries", limit: MAX_NODES });
                }
                let top = self.top()?;
                self.memo.insert(index, top);
            }
            b'g' | b'h' | b'j' => {
                let index = self.memo_index(op)?;
                let id = *self.memo.get(&index).ok_or(P::NoMemo(index))?;
                self.push_id(id)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn memo_index(&mut self, op: u8) -> Outcome<u64> {
        match op {
            b'q' | b'h' => self.byte().map(u64::from),
            b'r' | b'j' => Ok(u64::from(u32::from_le_bytes(self.array()?))),
            _ => self.line()?.parse().map_err(|_| P::Malformed("an index")),
        }
    }

    fn object(&mut self, op: u8) -> Outcome<bool> {
        let node = match op {
            b'c' => self.global()?,
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id: NodeId| match &self.nodes[id.0 as usize] {
                    Node::Text(text) => Ok(text.clone()),
                    _ => Err(P::WrongKind("text")),
                };
                Node::Global { module: text(module)?, name: text(name)? }
            }
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args)?
            }
            0x92 => {
                // Keyword arguments of a constructor carry no state of the classes met here.
                let (_keywords, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, args)?
            }
            b'i' => {
                let class = self.global()?;
                let args = self.pop_mark()?;
                let (class, args) = (self.add(class)?, self.add(Node::Tuple(args))?);
                self.call(class, args)?
            }
            b'o' => {
                let mut args = self.pop_mark()?;
                if args.is_empty() {
                    return Err(P::StackUnderflow);
                }
                let class = args.remove(0);
                let args = self.add(Node::Tuple(args))?;
                self.call(class, args)?
            }
            b'b' => {
                let state = self.pop()?;
                return self.set_state(state).map(|()| true);
            }
            b'Q' => Node::Persistent(self.pop()?),
            b'P' => {
                let text = Node::Text(self.line()?.into());
                Node::Persistent(self.add(text)?)
            }
            0x82..=0x84 => return Err(P::Unsupported("the extension registry")),
            0x97 | 0x98 => return Err(P::Unsupported("an out-of-band buffer")),
            _ => return Ok(false),
        };
        self.push(node).map(|()| true)
    }

    fn global(&mut self) -> Outcome<Node> {
        let module = self.line()?.into();
        Ok(Node::Global { module, name: self.line()?.into() })
    }

    fn call(&self, callable: NodeId, args: NodeId) -> Outcome<Node> {
        let Node::Tuple(values) = &self.nodes[args.0 as usize] else {
            return Err(P::WrongKind("a tuple of arguments"));
        };
        let mut object =
            Object { callable, args, state: None, items: Vec::new(), entries: Vec::new() };
        // Python 2 passes the content of an OrderedDict to its constructor, as a list of pairs.
        let is_ordered = matches!(&self.nodes[callable.0 as usize],
            Node::Global { name, .. } if &**name == "OrderedDict");
        if is_ordered
            && let Some(Node::List(items)) = values.first().map(|id| &self.nodes[id.0 as usize])
        {
            for item in items {
                match &self.nodes[item.0 as usize] {
                    Node::List(pair) | Node::Tuple(pair) if pair.len() == 2 => {
                        object.entries.push((pair[0], pair[1]));
                    }
                    _ => return Err(P::WrongKind("a list of pairs")),
                }
            }
        }
        Ok(Node::Object(Box::new(object)))
    }

    fn set_state(&mut self, state: NodeId) -> Outcome<()> {
        let target = self.top()?;
        match &mut self.nodes[target.0 as usize] {
            Node::Object(object) if object.state.is_none() => object.state = Some(state),
            Node::Object(_) => return Err(P::Unsupported("setting an object's state twice")),
            _ => return Err(P::WrongKind("an object")),
        }
        Ok(())
    }

    fn add(&mut self, node: Node) -> Outcome<NodeId> {
        if self.nodes.len() == MAX_NODES {
            return Err(P::TooMany { what: "values", limit: MAX_NODES });
        }
        #[expect(clippy::cast_possible_truncation, reason = "MAX_NODES fits 32 bits")]
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        Ok(id)
    }

    fn push(&mut self, node: Node) -> Outcome<()> {
        let id = self.add(node)?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: NodeId) -> Outcome<()> {
        if self.stack.len() == MAX_STACK {
            return Err(P::TooMany { what: "values on the stack", limit: MAX_STACK });
        }
        self.stack.push(id);
        Ok(())
    }

    /// The top value; values below an open MARK are out of reach.
    fn top(&self) -> Outcome<NodeId> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or(P::StackUnderflow)
    }

    fn pop(&mut self) -> Outcome<NodeId> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Outcome<Vec<NodeId>> {
        let mark = self.marks.pop().ok_or(P::NoMark)?;
        Ok(self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Outcome<u8> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let array = *self.data[self.at..].first_chunk().ok_or(P::Truncated)?;
        self.at += N;
        Ok(array)
    }

    fn length(&self, declared: u64) -> Outcome<usize> {
        match usize::try_from(declared) {
            Ok(length) if length <= self.data.len() - self.at => Ok(length),
            _ => Err(P::Truncated),
        }
    }
}

impl<'a> Machine<'a> {
    fn take(&mut self, length: usize) -> Outcome<&'a [u8]> {
        let bytes = self.data[self.at..].get(..length).ok_or(P::Truncated)?;
        self.at += length;
        Ok(bytes)
    }

    fn raw_line(&mut self) -> Outcome<&'a [u8]> {
        let rest = &self.data[self.at..];
        let end = rest.iter().position(|&b| b == b'\n').ok_or(P::Truncated)?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn line(&mut self) -> Outcome<&'a str> {
        let line = self.raw_line()?;
        std::str::from_utf8(line).map_err(|_| P::Malformed("UTF-8 text"))
    }
}

fn pairs(values: &[NodeId]) -> Outcome<Vec<(NodeId, NodeId)>> {
    match values.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(P::WrongKind("an even number of keys and values")),
    }
}

/// Two's complement, little-endian, of any length.
fn long(bytes: &[u8]) -> Node {
    let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Node::Int(i64::from_le_bytes(wide))
        }
        None => Node::BigInt,
    }
}

fn opcode_name(op: u8) -> &'static str {
    OPCODES.iter().find(|(code, _)| *code == op).map_or("(unknown)", |(_, name)| name)
}

/// The names of Python's `pickletools`.
#[rustfmt::skip]
const OPCODES: [(u8, &str); 68] = [
    (b'(', "MARK"), (b'.', "STOP"), (b'0', "POP"), (b'1', "POP_MARK"), (b'2', "DUP"),
    (b'F', "FLOAT"), (b'I', "INT"), (b'J', "BININT"), (b'K', "BININT1"), (b'L', "LONG"),
    (b'M', "BININT2"), (b'N', "NONE"), (b'P', "PERSID"), (b'Q', "BINPERSID"), (b'R', "REDUCE"),
    (b'S', "STRING"), (b'T', "BINSTRING"), (b'U', "SHORT_BINSTRING"), (b'V', "UNICODE"),
    (b'X', "BINUNICODE"), (b'a', "APPEND"), (b'b', "BUILD"), (b'c', "GLOBAL"), (b'd', "DICT"),
    (b'}', "EMPTY_DICT"), (b'e', "APPENDS"), (b'g', "GET"), (b'h', "BINGET"), (b'i', "INST"),
    (b'j', "LONG_BINGET"), (b'l', "LIST"), (b']', "EMPTY_LIST"), (b'o', "OBJ"), (b'p', "PUT"),
    (b'q', "BINPUT"), (b'r', "LONG_BINPUT"), (b's', "SETITEM"), (b't', "TUPLE"),
    (b')', "EMPTY_TUPLE"), (b'u', "SETITEMS"), (b'G', "BINFLOAT"), (b'B', "BINBYTES"),
    (b'C', "SHORT_BINBYTES"), (0x80, "PROTO"), (0x81, "NEWOBJ"), (0x82, "EXT1"), (0x83, "EXT2"),
    (0x84, "EXT4"), (0x85, "TUPLE1"), (0x86, "TUPLE2"), (0x87, "TUPLE3"), (0x88, "NEWTRUE"),
    (0x89, "NEWFALSE"), (0x8a, "LONG1"), (0x8b, "LONG4"), (0x8c, "SHORT_BINUNICODE"),
    (0x8d, "BINUNICODE8"), (0x8e, "BINBYTES8"), (0x8f, "EMPTY_SET"), (0x90, "ADDITEMS"),
    (0x91, "FROZENSET"), (0x92, "NEWOBJ_EX"), (0x93, "STACK_GLOBAL"), (0x94, "MEMOIZE"),
    (0x95, "FRAME"), (0x96, "BYTEARRAY8"), (0x97, "NEXT_BUFFER"), (0x98, "READONLY_BUFFER"),
];

//! Python pickles (protocols 0 to 5) as a graph of values; nothing in them is executed.
//!
//! A published Prima checkpoint is a pickled tree of Python objects, and unpickling runs whatever
//! code the file asks for (specification §16.16). This reader only builds [`Node`]s: a class or
//! function stays a name, a call stays a pair of name and arguments. Nodes live in one arena and
//! refer to each other by [`NodeId`], so shared and cyclic references need no recursion anywhere.

mod machine;
#[cfg(test)]
mod tests;

pub use machine::{PickleError, PickleProblem};

/// Index of a node in its [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// An integer that does not; its value is not kept, since nothing here needs one.
    BigInt,
    /// A float.
    Float(f64),
    /// Text, also Python 2 strings that are UTF-8.
    Text(Box<str>),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// A tuple.
    Tuple(Vec<NodeId>),
    /// A list.
    List(Vec<NodeId>),
    /// A set or frozen set.
    Set(Vec<NodeId>),
    /// A dictionary in insertion order.
    Dict(Vec<(NodeId, NodeId)>),
    /// A class or function by name.
    Global {
        /// Module, as the pickle spells it.
        module: Box<str>,
        /// Qualified name inside the module.
        name: Box<str>,
    },
    /// A reference to something outside the pickle (a tensor storage, in PyTorch's files).
    Persistent(NodeId),
    /// The result of a call that is not made.
    Object(Box<Object>),
}

/// What a pickle says about an object: how it would be made and what would be put into it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Class or function that would be called.
    pub callable: NodeId,
    /// Positional arguments.
    pub args: NodeId,
    /// State that would be set: usually the object's attributes as a dictionary.
    pub state: Option<NodeId>,
    /// Elements that would be appended.
    pub items: Vec<NodeId>,
    /// Pairs that would be inserted.
    pub entries: Vec<(NodeId, NodeId)>,
}

/// A pickle as a graph.
#[derive(Clone, Debug)]
pub struct Pickle {
    nodes: Vec<Node>,
    root: NodeId,
}

impl Pickle {
    /// Reads a pickle.
    ///
    /// # Errors
    ///
    /// When it is damaged, uses an opcode without a meaning here, or exceeds a limit; the error
    /// names the byte and the opcode.
    pub fn parse(data: &[u8]) -> Result<Self, PickleError> {
        machine::run(data).map(|(nodes, root)| Self { nodes, root })
    }

    /// The pickled value.
    #[must_use]
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// A node of this pickle; ids of another one mean nothing here.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// True for `None`.
    #[must_use]
    pub fn is_none(&self, id: NodeId) -> bool {
        matches!(self.node(id), Node::None)
    }

    /// Text.
    #[must_use]
    pub fn text(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer that is not negative.
    #[must_use]
    pub fn count(&self, id: NodeId) -> Option<usize> {
        match self.node(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// A float or an integer.
    #[must_use]
    pub fn number(&self, id: NodeId) -> Option<f64> {
        match self.node(id) {
            Node::Float(value) => Some(*value),
            #[expect(clippy::cast_precision_loss, reason = "Python rounds the same way")]
            Node::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// Elements of a tuple, list or set; a set that protocol 2 writes as a call counts too.
    #[must_use]
    pub fn items(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id) {
            Node::Tuple(items) | Node::List(items) | Node::Set(items) => Some(items),
            Node::Object(object) if matches!(self.class(id)?.1, "set" | "frozenset") => {
                match self.node(object.args) {
                    Node::Tuple(args) => match args.first().map(|&list| self.node(list)) {
                        Some(Node::List(items)) => Some(items),
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Pairs of a dictionary, or of a subclass of it such as `OrderedDict`.
    #[must_use]
    pub fn entries(&self, id: NodeId) -> Option<&[(NodeId, NodeId)]> {
        match self.node(id) {
            Node::Dict(entries) => Some(entries),
            Node::Object(object) if self.class(id)?.1.ends_with("Dict") => Some(&object.entries),
            _ => None,
        }
    }

    /// The value a dictionary holds under a text key.
    #[must_use]
    pub fn get(&self, id: NodeId, key: &str) -> Option<NodeId> {
        // Of equal keys the last one counts, as in Python.
        let entries = self.entries(id)?.iter().rev();
        entries.into_iter().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, value)| *value)
    }

    /// Module and name of an object's class, or of the function that would have made it.
    #[must_use]
    pub fn class(&self, id: NodeId) -> Option<(&str, &str)> {
        let Node::Object(object) = self.node(id) else { return None };
        match self.global(object.callable)? {
            // Protocols 0 and 1 make objects through these, with the class as first argument.
            (_, "_reconstructor" | "__newobj__") => match self.node(object.args) {
                Node::Tuple(args) => self.global(*args.first()?),
                _ => None,
            },
            class => Some(class),
        }
    }

    /// Module and name of a class or function.
    #[must_use]
    pub fn global(&self, id: NodeId) -> Option<(&str, &str)> {
        match self.node(id) {
            Node::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// An attribute of an object.
    #[must_use]
    pub fn attribute(&self, id: NodeId, name: &str) -> Option<NodeId> {
        let Node::Object(object) = self.node(id) else { return None };
        match self.node(object.state?) {
            Node::Dict(_) => self.get(object.state?, name),
            // Classes with slots pickle a pair of dictionaries.
            Node::Tuple(parts) => parts.iter().find_map(|&part| self.get(part, name)),
            _ => None,
        }
    }

    /// A node in a few words, for error messages.
    #[must_use]
    pub fn describe(&self, id: NodeId) -> String {
        match self.node(id) {
            Node::None => "None".to_owned(),
            Node::Bool(value) => format!("the truth value {value}"),
            Node::Int(value) => format!("the integer {value}"),
            Node::BigInt => "an integer of more than 64 bits".to_owned(),
            Node::Float(value) => format!("the float {value}"),
            Node::Text(text) => format!("the text {:?}", text.chars().take(60).collect::<String>()),
            Node::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Node::Tuple(items) => format!("a tuple of {}", items.len()),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Set(items) => format!("a set of {}", items.len()),
            Node::Dict(entries) => format!("a dictionary of {}", entries.len()),
            Node::Global { module, name } => format!("the name {module}.{name}"),
            Node::Persistent(_) => "a storage".to_owned(),
            Node::Object(_) => match self.class(id) {
                Some((module, name)) => format!("an object of {module}.{name}"),
                None => "an object without a class".to_owned(),
            },
        }
    }
}

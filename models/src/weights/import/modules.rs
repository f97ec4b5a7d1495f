//! The pickled tree of modules, walked as PyTorch's `state_dict()` would walk the live objects.
//!
//! Names, output indices and thresholds of the heads stand only in the objects' attributes
//! (specification §14), so the walk also notes where each object lies.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::ImportError;
use super::checkpoint::{Attention, Checkpoint, DEFAULT_DIM_HEAD, HeadSource};
use crate::dims::MAX_NAME_CHARS;
use crate::nn::config::NAME_POSITION;
use crate::weights::pickle::{NodeId, Pickle};
use crate::weights::torch_file::{StoredTensor, TorchFile};

/// Where the visual model's tensors stand.
pub(super) const VISUAL: &str = "clipmodel.visual_model.";
/// The same object under its second name.
const VISUAL_TWICE: &str = "clipvisualmodel.";
/// The published model has under two thousand.
const MAX_MODULES: usize = 20_000;
/// The published model nests twelve deep.
const MAX_DEPTH: usize = 40;
/// Characters of one name in a module path.
const MAX_NAME: usize = 100;

/// Reads the description of a whole pickled model.
pub(super) fn checkpoint(file: &TorchFile) -> Result<Checkpoint, ImportError> {
    let root = root_module(file)?;
    let mut walk = Walk {
        file,
        pickle: file.pickle(),
        tensors: BTreeMap::new(),
        position_tables: BTreeMap::new(),
        attention: BTreeMap::new(),
        report_heads: None,
        paths: HashMap::new(),
    };
    walk.run(root)?;
    let diagnosis = walk.heads(root, "diagnosisheads")?;
    let referral = walk.heads(root, "referralheads")?;
    walk.add_config(root);
    Ok(Checkpoint {
        path: file.path().to_owned(),
        tensors: once(walk.tensors),
        position_tables: once(walk.position_tables),
        attention: once(walk.attention),
        report_heads: walk.report_heads,
        diagnosis,
        referral,
    })
}

/// The model in the pickle: the value itself, what a parallel wrapper holds, or what a training
/// checkpoint holds under a key.
fn root_module(file: &TorchFile) -> Result<NodeId, ImportError> {
    let pickle = file.pickle();
    let mut root = pickle.root();
    if let Some(module) = ["model", "full_model", "module"].iter().find_map(|k| pickle.get(root, k))
    {
        root = module;
    }
    root = unwrap_parallel(pickle, root);
    if pickle.attribute(root, "_modules").is_none() {
        let found = pickle.describe(root);
        let expected = "a whole module (FullMRIModel), whose objects carry the heads' names and \
                        thresholds; a state_dict alone does not";
        return Err(ImportError::field(file.path(), "the pickled value", found, expected));
    }
    Ok(root)
}

/// `DataParallel` and its relatives hold the module they wrap as their only child.
fn unwrap_parallel(pickle: &Pickle, mut id: NodeId) -> NodeId {
    for _ in 0..MAX_DEPTH {
        let is_wrapper = pickle.class(id).is_some_and(|(_, name)| name.ends_with("DataParallel"));
        let children = pickle.attribute(id, "_modules").filter(|_| is_wrapper);
        match children.and_then(|children| pickle.get(children, "module")) {
            Some(inner) => id = inner,
            None => break,
        }
    }
    id
}

/// Drops `clipvisualmodel.*`, the visual model's second name, or gives it the first one where a
/// checkpoint has only the second.
pub(super) fn once<T>(mut named: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let has_first = named.keys().any(|name| name.starts_with(VISUAL));
    let twice: Vec<_> = named.extract_if(.., |name, _| name.starts_with(VISUAL_TWICE)).collect();
    if !has_first {
        let renamed = twice.into_iter().filter_map(|(name, value)| {
            Some((format!("{VISUAL}{}", name.strip_prefix(VISUAL_TWICE)?), value))
        });
        named.extend(renamed);
    }
    named
}

struct Walk<'a> {
    file: &'a TorchFile,
    pickle: &'a Pickle,
    tensors: BTreeMap<String, StoredTensor>,
    position_tables: BTreeMap<String, StoredTensor>,
    attention: BTreeMap<String, Attention>,
    report_heads: Option<usize>,
    /// First path of every module, with its final dot.
    paths: HashMap<NodeId, String>,
}

impl<'a> Walk<'a> {
    /// Visits every module below `root`, also one that lies in two places, as `state_dict` does.
    fn run(&mut self, root: NodeId) -> Result<(), ImportError> {
        let mut to_visit = vec![(root, String::new(), 0)];
        let mut visited = 0;
        while let Some((module, path, depth)) = to_visit.pop() {
            visited += 1;
            if visited > MAX_MODULES || depth > MAX_DEPTH {
                let expected = format!("at most {MAX_MODULES} modules, {MAX_DEPTH} deep");
                let found = "part of an endless tree";
                return Err(ImportError::field(self.file.path(), path, found, expected));
            }
            let module = unwrap_parallel(self.pickle, module);
            self.paths.entry(module).or_insert_with(|| path.clone());
            self.visit(module, &path)?;
            let children = self.named(module, "_modules", &path)?;
            // A stack gives the last child first.
            for (name, child) in children.into_iter().rev() {
                to_visit.push((child, format!("{path}{name}."), depth + 1));
            }
        }
        Ok(())
    }

    /// Notes the tensors of one module, and the attributes that its tensors do not tell.
    fn visit(&mut self, module: NodeId, path: &str) -> Result<(), ImportError> {
        let transient = self.pickle.attribute(module, "_non_persistent_buffers_set");
        let transient = transient.and_then(|set| self.pickle.items(set)).unwrap_or_default();
        let transient: HashSet<&str> =
            transient.iter().filter_map(|&name| self.pickle.text(name)).collect();
        let mut tensors = self.named(module, "_parameters", path)?;
        let buffers = self.named(module, "_buffers", path)?;
        tensors.extend(buffers.into_iter().filter(|(name, _)| !transient.contains(name)));
        for (name, value) in tensors {
            let name = format!("{path}{name}");
            let tensor = self.tensor(value, &name)?;
            self.tensors.insert(name, tensor);
        }
        let attribute = |name| self.pickle.attribute(module, name);
        if let Some(attention) = self.attention(module) {
            self.attention.insert(path.trim_end_matches('.').to_owned(), attention);
        }
        if let Some(table) = attribute("p_enc").filter(|_| path.contains("encoder.")) {
            self.position_table(table, format!("{path}p_enc"))?;
        }
        if let Some(heads) = attribute("config").and_then(|c| self.pickle.attribute(c, "n_head")) {
            self.report_heads = self.pickle.count(heads);
        }
        match attribute("pool").and_then(|pool| self.pickle.text(pool)) {
            None | Some("cls") => Ok(()),
            Some(other) => {
                let field = format!("{path}pool");
                let expected = "\"cls\": the registers of the published model are not averaged";
                Err(ImportError::field(self.file.path(), field, format!("{other:?}"), expected))
            }
        }
    }

    /// Named values of one of a module's dictionaries; `None` stands for an absent bias or module.
    fn named(
        &self,
        module: NodeId,
        dictionary: &str,
        path: &str,
    ) -> Result<Vec<(&'a str, NodeId)>, ImportError> {
        let Some(entries) = self.pickle.attribute(module, dictionary) else {
            return Ok(Vec::new());
        };
        let wrong = |id, expected: &str| {
            let field = format!("{path}{dictionary}");
            ImportError::field(self.file.path(), field, self.pickle.describe(id), expected)
        };
        let entries = self.pickle.entries(entries).ok_or_else(|| wrong(entries, "a dictionary"))?;
        let mut named = Vec::new();
        for &(key, value) in entries {
            let name = self.pickle.text(key).filter(|name| name.len() <= MAX_NAME);
            let name = name.ok_or_else(|| wrong(key, "a short name as key"))?;
            if !self.pickle.is_none(value) {
                named.push((name, value));
            }
        }
        Ok(named)
    }

    fn tensor(&self, value: NodeId, name: &str) -> Result<StoredTensor, ImportError> {
        let wrong = |e: crate::weights::torch_file::TensorError| {
            ImportError::field(self.file.path(), name, e.found, e.expected)
        };
        self.file.tensor(value).map_err(wrong)
    }

    /// `heads` with `dim_head`, or with the `scale` that is its inverse square root.
    fn attention(&self, module: NodeId) -> Option<Attention> {
        let number = |name| self.pickle.attribute(module, name);
        let heads = number("heads").and_then(|n| self.pickle.count(n))?;
        let dim_head = number("dim_head").and_then(|n| self.pickle.count(n)).or_else(|| {
            let scale = number("scale").and_then(|n| self.pickle.number(n))?;
            let dim_head = (scale * scale).recip().round();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked, and the value rounded"
            )]
            (1.0..=65_536.0).contains(&dim_head).then_some(dim_head as usize)
        })?;
        Some(Attention { heads, dim_head })
    }

    /// Keeps a name encoder's table of positions, `[200, 10]`, also with axes of size 1 before.
    fn position_table(&mut self, value: NodeId, name: String) -> Result<(), ImportError> {
        if self.file.is_tensor(value) {
            let table = self.tensor(value, &name)?;
            if let Some(table) = table.reshaped(&[MAX_NAME_CHARS + 1, NAME_POSITION]) {
                self.position_tables.insert(name, table);
            }
        }
        Ok(())
    }

    /// Fills in what attributes left open from the training configuration, which is pickled with
    /// the model.
    fn add_config(&mut self, root: NodeId) {
        let model = self.pickle.attribute(root, "_modules");
        let model = model.and_then(|modules| self.pickle.get(modules, "clipmodel"));
        let model = model.map(|model| unwrap_parallel(self.pickle, model));
        let Some(config) = model.and_then(|m| self.pickle.attribute(m, "config")) else { return };
        for (vit, key) in [("innerViT", "inner"), ("outerViT", "outer")] {
            let path = ["model", "visual", key];
            let part = path.iter().try_fold(config, |at, key| self.pickle.get(at, key));
            let number = |key| self.pickle.count(self.pickle.get(part?, key)?);
            if let Some(heads) = number("heads") {
                let dim_head = number("dim_head").unwrap_or(DEFAULT_DIM_HEAD);
                let layer = super::checkpoint::layer(vit, 0);
                self.attention.entry(layer).or_insert(Attention { heads, dim_head });
            }
        }
    }

    /// Heads of one kind: `{name: [module, output index]}`, with `thresh` on the module.
    fn heads(&self, root: NodeId, kind: &str) -> Result<Vec<HeadSource>, ImportError> {
        let path = self.file.path();
        let wrong = |field: &str, id, expected: &str| {
            ImportError::field(path, field, self.pickle.describe(id), expected)
        };
        let expected = "a dictionary of heads; is this the full model?";
        let heads = self.pickle.attribute(root, kind);
        let heads = heads.ok_or_else(|| ImportError::field(path, kind, "missing", expected))?;
        let entries = self.pickle.entries(heads).ok_or_else(|| wrong(kind, heads, expected))?;
        let head = |&(key, value): &(NodeId, NodeId)| {
            let name = self.pickle.text(key).filter(|name| name.len() <= MAX_NAME);
            let name = name.ok_or_else(|| wrong(kind, key, "a short name as key"))?;
            let field = format!("{kind}[{name:?}]");
            let Some(&[module, index]) = self.pickle.items(value) else {
                return Err(wrong(&field, value, "[module, output index]"));
            };
            let output_index = self.pickle.count(index);
            let output_index =
                output_index.ok_or_else(|| wrong(&field, index, "an output index"))?;
            let inner = unwrap_parallel(self.pickle, module);
            let prefix = self.paths.get(&inner).ok_or_else(|| {
                wrong(&field, module, "a module that is also a child of the model (m1, m2)")
            })?;
            Ok(HeadSource {
                name: name.to_owned(),
                prefix: prefix.trim_end_matches('.').to_owned(),
                output_index,
                threshold: self.threshold(&[module, inner], &field)?,
            })
        };
        entries.iter().map(head).collect()
    }

    /// A head's threshold: a number, or a tensor of one value.
    fn threshold(&self, modules: &[NodeId], field: &str) -> Result<f32, ImportError> {
        let value = modules.iter().find_map(|&m| self.pickle.attribute(m, "thresh"));
        let field = format!("{field}.thresh");
        let number = match value {
            Some(id) if self.file.is_tensor(id) => {
                let tensor = self.tensor(id, &field)?;
                match tensor.elements() {
                    1 => tensor.to_f32()?.first().copied(),
                    _ => None,
                }
            }
            #[expect(clippy::cast_possible_truncation, reason = "networks compute in f32")]
            Some(id) => self.pickle.number(id).map(|number| number as f32),
            None => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| {
            let found = value.map_or("missing".to_owned(), |id| self.pickle.describe(id));
            ImportError::field(self.file.path(), field, found, "a number")
        })
    }
}

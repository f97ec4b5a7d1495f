//! Builds one ONNX graph: nodes, constants, and weights that stay where they are.
//!
//! Weights are *external data*: the graph names the bundle's own weight file and the bytes of each
//! tensor in it, so a bundle holds every number once and its digest covers both uses. A half
//! precision tensor is cast to single precision when a runtime loads the graph.

use prost::Message;
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::type_proto;

use models::nn::parameters::ParameterError;
use models::weights::mapped::WeightFile;

/// Operator set of every graph: the first with `Gelu`.
const OPSET: i64 = 20;
/// File format that belongs to it.
const IR_VERSION: i64 = 9;

/// A value of the graph by its name.
#[derive(Clone, Debug)]
pub(super) struct Value(String);

/// One axis of an input or output.
pub(super) enum Axis {
    Fixed(usize),
    /// Any length; equal names are equal lengths.
    Named(&'static str),
}

/// A weight file as seen from the graph's folder.
pub(super) struct Weights<'a> {
    location: &'a str,
    metadata: Metadata,
    data_start: usize,
}

/// Where below a weight file's names a layer stands.
#[derive(Clone)]
pub(super) struct Place<'a> {
    weights: &'a Weights<'a>,
    prefix: String,
}

/// A graph under construction.
#[derive(Default)]
pub(super) struct Graph {
    graph: pb::GraphProto,
    values: usize,
}

impl<'a> Weights<'a> {
    /// `location` is the file's path below the graph's folder.
    pub(super) fn new(file: &WeightFile, location: &'a str) -> Result<Self, ParameterError> {
        let (header, metadata) =
            SafeTensors::read_metadata(file.bytes()).map_err(|error| ParameterError::Type {
                origin: location.to_owned(),
                name: "(header)".to_owned(),
                found: error.to_string(),
            })?;
        Ok(Self { location, metadata, data_start: header + 8 })
    }

    pub(super) fn root(&'a self) -> Place<'a> {
        Place { weights: self, prefix: String::new() }
    }
}

impl Place<'_> {
    pub(super) fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { weights: self.weights, prefix: self.name(&name.to_string()) }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.weights.metadata.info(&self.name(name)).is_some()
    }

    fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}

impl Graph {
    pub(super) fn input(&mut self, name: &str, kind: DataType, shape: &[Axis]) -> Value {
        self.graph.input.push(value_info(name, kind, shape));
        Value(name.to_owned())
    }

    pub(super) fn output(&mut self, name: &str, value: &Value, shape: &[Axis]) {
        self.graph.node.push(pb::NodeProto {
            op_type: "Identity".to_owned(),
            name: name.to_owned(),
            input: vec![value.0.clone()],
            output: vec![name.to_owned()],
            ..pb::NodeProto::default()
        });
        self.graph.output.push(value_info(name, DataType::Float, shape));
    }

    /// One operator with one result.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attribute: Vec<pb::AttributeProto>,
    ) -> Value {
        let name = format!("{}_{}", operator.to_lowercase(), self.values);
        self.values += 1;
        self.graph.node.push(pb::NodeProto {
            op_type: operator.to_owned(),
            name: name.clone(),
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: vec![name.clone()],
            attribute,
            ..pb::NodeProto::default()
        });
        Value(name)
    }

    pub(super) fn integers(&mut self, values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(DataType::Int64, &[values.len()], bytes)
    }

    pub(super) fn floats(&mut self, values: &[f32], shape: &[usize]) -> Value {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(DataType::Float, shape, bytes)
    }

    fn constant(&mut self, kind: DataType, shape: &[usize], raw_data: Vec<u8>) -> Value {
        let name = format!("constant_{}", self.values);
        self.values += 1;
        self.graph.initializer.push(pb::TensorProto {
            name: name.clone(),
            data_type: kind as i32,
            dims: shape.iter().map(|&size| as_i64(size)).collect(),
            raw_data,
            ..pb::TensorProto::default()
        });
        Value(name)
    }

    /// The tensor `name` of a weight file in single precision.
    pub(super) fn tensor(
        &mut self,
        at: &Place<'_>,
        name: &str,
        shape: &[usize],
    ) -> Result<Value, ParameterError> {
        self.rows(at, name, shape, 0..shape[0])
    }

    /// Some of the rows along the first axis of a tensor.
    pub(super) fn rows(
        &mut self,
        at: &Place<'_>,
        name: &str,
        shape: &[usize],
        rows: std::ops::Range<usize>,
    ) -> Result<Value, ParameterError> {
        let Place { weights, .. } = at;
        let (origin, name) = (weights.location.to_owned(), at.name(name));
        let Some(info) = weights.metadata.info(&name) else {
            return Err(ParameterError::Missing { origin, name, expected: shape.to_vec() });
        };
        if info.shape != shape {
            let (found, expected) = (info.shape.clone(), shape.to_vec());
            return Err(ParameterError::Shape { origin, name, found, expected });
        }
        let kind = match info.dtype {
            Dtype::F32 => DataType::Float,
            Dtype::F16 => DataType::Float16,
            other => {
                let found = format!("{other:?}, which an ONNX part cannot refer to");
                return Err(ParameterError::Type { origin, name, found });
            }
        };
        let row = shape[1..].iter().product::<usize>() * info.dtype.bitsize() / 8;
        let offset = weights.data_start + info.data_offsets.0 + rows.start * row;
        let mut dims = shape.to_vec();
        dims[0] = rows.len();
        let initializer = format!("{name}[{}..{}]", rows.start, rows.end);
        let field =
            |key: &str, value: String| pb::StringStringEntryProto { key: key.to_owned(), value };
        self.graph.initializer.push(pb::TensorProto {
            name: initializer.clone(),
            data_type: kind as i32,
            dims: dims.iter().map(|&size| as_i64(size)).collect(),
            data_location: Some(DataLocation::External as i32),
            external_data: vec![
                field("location", origin),
                field("offset", offset.to_string()),
                field("length", (rows.len() * row).to_string()),
            ],
            ..pb::TensorProto::default()
        });
        let value = Value(initializer);
        Ok(match kind {
            DataType::Float16 => {
                self.node("Cast", &[&value], vec![integer("to", DataType::Float as i64)])
            }
            _ => value,
        })
    }

    /// The finished file.
    pub(super) fn finish(mut self, name: &str) -> Vec<u8> {
        name.clone_into(&mut self.graph.name);
        pb::ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![pb::OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: "trainer".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            ..pb::ModelProto::default()
        }
        .encode_to_vec()
    }

    pub(super) fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("MatMul", &[a, b], Vec::new())
    }

    pub(super) fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Add", &[a, b], Vec::new())
    }

    pub(super) fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.node("Reshape", &[x, &shape], Vec::new())
    }

    pub(super) fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], vec![integers("perm", order)])
    }

    /// Joins along the first axis (`axis` 0) or another one.
    pub(super) fn concat(&mut self, parts: &[&Value], axis: i64) -> Value {
        self.node("Concat", parts, vec![integer("axis", axis)])
    }

    /// `start..end` along an axis; a negative number counts from the end.
    pub(super) fn slice(&mut self, x: &Value, axis: i64, start: i64, end: i64) -> Value {
        let (start, end) = (self.integers(&[start]), self.integers(&[end]));
        self.slice_to(x, axis, &start, &end)
    }

    pub(super) fn slice_to(&mut self, x: &Value, axis: i64, start: &Value, end: &Value) -> Value {
        let axes = self.integers(&[axis]);
        self.node("Slice", &[x, start, end, &axes], Vec::new())
    }
}

pub(super) fn integer(name: &str, value: i64) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..pb::AttributeProto::default()
    }
}

pub(super) fn integers(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..pb::AttributeProto::default()
    }
}

pub(super) fn float(name: &str, value: f32) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..pb::AttributeProto::default()
    }
}

/// A size as ONNX writes it.
#[expect(clippy::cast_possible_wrap, reason = "no tensor in memory has 2^63 elements")]
pub(super) fn as_i64(size: usize) -> i64 {
    size as i64
}

fn value_info(name: &str, kind: DataType, shape: &[Axis]) -> pb::ValueInfoProto {
    let dim = |axis: &Axis| {
        let value = match axis {
            Axis::Fixed(size) => Size::DimValue(as_i64(*size)),
            Axis::Named(name) => Size::DimParam((*name).to_owned()),
        };
        Dimension { denotation: String::new(), value: Some(value) }
    };
    let shape = pb::TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape: Some(shape) };
    pb::ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(pb::TypeProto {
            denotation: String::new(),
            value: Some(type_proto::Value::TensorType(tensor)),
        }),
        ..pb::ValueInfoProto::default()
    }
}

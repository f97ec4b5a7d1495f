//! The layers of `models::nn` as ONNX operators, under the names that `load` reads.

use models::dims::MAX_NAME_CHARS;
use models::nn::config::{
    MixerConfig, NAME_POSITION, NameEncoderConfig, PeaksConfig, TransformerConfig, VitConfig,
};
use models::nn::head::LAYERS;
use models::nn::parameters::ParameterError;
use models::tokens::position::character_position;

use super::graph::{Graph, Place, Value, as_i64, float, integer};

/// Characters a name encoder knows.
const VOCABULARY: usize = 47;
/// A patch's cells: 8 x 8 of 4 x 4 x 4 voxels, four latent values each.
const CELLS: usize = 64;
const CELL_VOX: usize = 64;
const CELL_LATENT: usize = 4;

type Layer = Result<Value, ParameterError>;

/// `[.., input]` to `[.., output]`.
pub(super) fn linear(
    graph: &mut Graph,
    at: &Place<'_>,
    x: &Value,
    [input, output]: [usize; 2],
) -> Layer {
    let weight = graph.tensor(at, "weight", &[output, input])?;
    let weight = graph.transpose(&weight, &[1, 0]);
    let product = graph.matmul(x, &weight);
    let bias = graph.tensor(at, "bias", &[output])?;
    Ok(graph.add(&product, &bias))
}

fn layer_norm(graph: &mut Graph, at: &Place<'_>, x: &Value, dim: usize) -> Layer {
    let scale = graph.tensor(at, "weight", &[dim])?;
    let offset = graph.tensor(at, "bias", &[dim])?;
    let attributes = vec![integer("axis", -1), float("epsilon", 1e-5)];
    Ok(graph.node("LayerNormalization", &[x, &scale, &offset], attributes))
}

fn gelu(graph: &mut Graph, x: &Value) -> Value {
    graph.node("Gelu", &[x], Vec::new())
}

/// Pre-norm blocks over one sequence, `[T, D]` to `[T, D]`.
fn transformer(graph: &mut Graph, at: &Place<'_>, x: Value, config: &TransformerConfig) -> Layer {
    let TransformerConfig { dim, mlp_dim, .. } = *config;
    let mut x = x;
    for block in 0..config.depth {
        let at = at.at(format_args!("layers.{block}"));
        let normed = layer_norm(graph, &at.at("0.norm"), &x, dim)?;
        let attended = attention(graph, &at.at("0.fn"), &normed, config)?;
        x = graph.add(&x, &attended);
        let normed = layer_norm(graph, &at.at("1.norm"), &x, dim)?;
        let hidden = linear(graph, &at.at("1.fn.net.0"), &normed, [dim, mlp_dim])?;
        let hidden = gelu(graph, &hidden);
        let output = linear(graph, &at.at("1.fn.net.3"), &hidden, [mlp_dim, dim])?;
        x = graph.add(&x, &output);
    }
    Ok(x)
}

/// Multi-head self-attention in elementary operators.
fn attention(graph: &mut Graph, at: &Place<'_>, x: &Value, config: &TransformerConfig) -> Layer {
    let TransformerConfig { dim, heads, dim_head, .. } = *config;
    let inner = heads * dim_head;
    // Queries, keys and values are rows of one matrix, so the graph takes them apart when it is
    // written and not when it runs.
    let part = |graph: &mut Graph, index: usize| {
        let rows = index * inner..(index + 1) * inner;
        let weight = graph.rows(at, "to_qkv.weight", &[3 * inner, dim], rows)?;
        let weight = graph.transpose(&weight, &[1, 0]);
        Ok::<_, ParameterError>(graph.matmul(x, &weight))
    };
    #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^24")]
    let scale = graph.floats(&[(dim_head as f32).powf(-0.5)], &[1]);
    let queries = part(graph, 0)?; // [T, H * D_h]
    let queries = graph.node("Mul", &[&queries, &scale], Vec::new());
    let (keys, values) = (part(graph, 1)?, part(graph, 2)?);
    // One head after another: the scores of all heads of 5000 tokens at once would take 400 MB.
    let mut attended = Vec::new();
    for head in 0..heads {
        let (start, end) = (as_i64(head * dim_head), as_i64((head + 1) * dim_head));
        let queries = graph.slice(&queries, 1, start, end);
        let keys = graph.slice(&keys, 1, start, end);
        let keys = graph.transpose(&keys, &[1, 0]);
        let values = graph.slice(&values, 1, start, end);
        let scores = graph.matmul(&queries, &keys); // [T, T]
        let weights = graph.node("Softmax", &[&scores], vec![integer("axis", -1)]);
        attended.push(graph.matmul(&weights, &values));
    }
    let attended = match attended.as_slice() {
        [alone] => alone.clone(),
        heads => graph.concat(&heads.iter().collect::<Vec<_>>(), 1),
    };
    // The published code has no output projection when one head spans the whole width.
    if heads == 1 && dim_head == dim {
        return Ok(attended);
    }
    linear(graph, &at.at("to_out.0"), &attended, [inner, dim])
}

/// A name's character ids `[L]` to one vector `[1, output]`.
pub(super) fn name_encoder(
    graph: &mut Graph,
    at: &Place<'_>,
    ids: &Value,
    config: &NameEncoderConfig,
) -> Layer {
    let (encoder, output, width) = match config.adapter {
        Some(width) => (at.at("0"), at.at("1"), width),
        None => (at.clone(), at.at("linear"), config.output),
    };
    let table = graph.tensor(&encoder.at("embed"), "weight", &[VOCABULARY, config.embedding])?;
    let embedded = graph.node("Gather", &[&table, ids], vec![integer("axis", 0)]);
    let shape = [MAX_NAME_CHARS + 1, NAME_POSITION];
    let positions = if encoder.contains("p_enc") {
        graph.tensor(&encoder, "p_enc", &shape)?
    } else {
        let values: Vec<f32> = (0..shape[0]).flat_map(character_position).collect();
        graph.floats(&values, &shape)
    };
    let length = graph.node("Shape", &[ids], Vec::new());
    let start = graph.integers(&[0]);
    let positions = graph.slice_to(&positions, 0, &start, &length);
    let x = graph.concat(&[&embedded, &positions], 1);
    let x = transformer(graph, &encoder.at("transformer"), x, &config.transformer)?;
    let last = graph.slice(&x, 0, -1, i64::MAX);
    linear(graph, &output, &last, [config.transformer.dim, width])
}

/// `[1, D]` and `[T, D]` to what is pooled: registers and peaks, `[1, R * D + P]`.
pub(super) fn register_vit(
    graph: &mut Graph,
    at: &Place<'_>,
    prefix: &Value,
    tokens: &Value,
    config: &VitConfig,
) -> Layer {
    let VitConfig { transformer: blocks, registers, .. } = config;
    let dim = blocks.dim;
    let mut tokens = tokens.clone();
    if let Some(PeaksConfig { hidden, .. }) = config.peaks {
        let at = at.at("peaks");
        let own = linear(graph, &at.at("token"), &tokens, [dim, hidden])?;
        let told = linear(graph, &at.at("prefix"), prefix, [dim, hidden])?;
        let sum = graph.add(&own, &told);
        let sum = gelu(graph, &sum);
        let said = linear(graph, &at.at("output"), &sum, [hidden, dim])?;
        tokens = graph.add(&tokens, &said);
    }
    let cls_token = graph.tensor(at, "cls_token", &[1, *registers, dim])?;
    let cls_token = graph.reshape(&cls_token, &[as_i64(*registers), as_i64(dim)]);
    let x = graph.concat(&[&cls_token, prefix, &tokens], 0);
    let x = transformer(graph, &at.at("transformer"), x, blocks)?;
    let x = layer_norm(graph, &at.at("layernorm"), &x, dim)?;
    let pooled = graph.slice(&x, 0, 0, as_i64(*registers));
    let pooled = graph.reshape(&pooled, &[1, as_i64(registers * dim)]);
    let Some(PeaksConfig { features, .. }) = config.peaks else { return Ok(pooled) };
    let tokens = graph.slice(&x, 0, as_i64(registers + 1), i64::MAX);
    let found = linear(graph, &at.at("peaks.features"), &tokens, [dim, features])?;
    let axes = graph.integers(&[0]);
    let largest = graph.node("ReduceMax", &[&found, &axes], vec![integer("keepdims", 1)]);
    Ok(graph.concat(&[&pooled, &largest], 1))
}

/// `[1, input]` to `[1, outputs]`.
pub(super) fn head(graph: &mut Graph, at: &Place<'_>, x: &Value, widths: [usize; 4]) -> Layer {
    let mut x = x.clone();
    for (i, (layer, io)) in LAYERS.iter().zip(widths.windows(2)).enumerate() {
        x = linear(graph, &at.at(layer), &x, [io[0], io[1]])?;
        if i + 1 < LAYERS.len() {
            x = graph.node("Relu", &[&x], Vec::new());
        }
    }
    Ok(x)
}

/// Patches `[N, 4096]`, thin axis first, to latent values `[N, 256]`.
pub(super) fn mixer(
    graph: &mut Graph,
    at: &Place<'_>,
    patches: &Value,
    config: &MixerConfig,
) -> Layer {
    let MixerConfig { width, cell_hidden, hidden, .. } = *config;
    let at = at.at("encoder");
    let [cells, channels] = [as_i64(CELLS), as_i64(width)];
    let x = graph.reshape(patches, &[-1, 4, 8, 4, 8, 4]);
    let x = graph.transpose(&x, &[0, 2, 4, 1, 3, 5]);
    // Two axes wherever a matrix product comes: one large product runs faster than many small.
    let x = graph.reshape(&x, &[-1, as_i64(CELL_VOX)]); // [N * 64, 64]
    let x = linear(graph, &at.at("input"), &x, [CELL_VOX, width])?;
    let x = graph.reshape(&x, &[-1, cells, channels]);
    let positions = graph.tensor(&at, "positions", &[CELLS, width])?;
    let mut x = graph.add(&x, &positions); // [N, 64, width]
    for block in 0..config.depth {
        let at = at.at(format_args!("blocks.{block}"));
        let mixed = layer_norm(graph, &at.at("cell_norm"), &x, width)?;
        let mixed = graph.transpose(&mixed, &[0, 2, 1]);
        let mixed = graph.reshape(&mixed, &[-1, cells]); // [N * width, 64]
        let mixed = linear(graph, &at.at("cell_in"), &mixed, [CELLS, cell_hidden])?;
        let mixed = graph.node("Relu", &[&mixed], Vec::new());
        let mixed = linear(graph, &at.at("cell_out"), &mixed, [cell_hidden, CELLS])?;
        let mixed = graph.reshape(&mixed, &[-1, channels, cells]);
        let mixed = graph.transpose(&mixed, &[0, 2, 1]);
        x = graph.add(&x, &mixed);
        let mixed = layer_norm(graph, &at.at("norm"), &x, width)?;
        let mixed = graph.reshape(&mixed, &[-1, channels]); // [N * 64, width]
        let mixed = linear(graph, &at.at("mlp_in"), &mixed, [width, hidden])?;
        let mixed = graph.node("Relu", &[&mixed], Vec::new());
        let mixed = linear(graph, &at.at("mlp_out"), &mixed, [hidden, width])?;
        let mixed = graph.reshape(&mixed, &[-1, cells, channels]);
        x = graph.add(&x, &mixed);
    }
    let x = layer_norm(graph, &at.at("norm"), &x, width)?;
    let x = graph.reshape(&x, &[-1, channels]);
    let x = linear(graph, &at.at("output"), &x, [width, CELL_LATENT])?;
    let x = graph.reshape(&x, &[-1, cells, as_i64(CELL_LATENT)]);
    let x = graph.transpose(&x, &[0, 2, 1]);
    Ok(graph.reshape(&x, &[-1, as_i64(CELLS * CELL_LATENT)]))
}

use std::fs;

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor as BurnTensor, TensorData, activation};
use models::engine::{DeviceChoice, device};
use models::nn::Compute;

use super::*;

/// More than one run of the graph.
const IMAGES: usize = 11;

fn images() -> Vec<f32> {
    (0..IMAGES * SIZE * SIZE).map(|i| (i as f32 * 0.37).sin().abs()).collect()
}

/// The same network in burn.
fn expected(seed: u64) -> Vec<f32> {
    let cpu = device(DeviceChoice::Cpu).unwrap();
    let weights = Fresh { seed, temperature: 0.0 };
    let tensor = |values: Vec<f32>, shape: [usize; 4]| {
        BurnTensor::<Compute, 4>::from_data(TensorData::new(values, shape), &cpu)
    };
    let mut x = tensor(images(), [IMAGES, 1, SIZE, SIZE]);
    let mut input = 1;
    for (level, output) in CHANNELS.into_iter().enumerate() {
        let shape = [output, input, 3, 3];
        let kernel = tensor(weights.read(&format!("{level}.weight"), &shape).unwrap(), shape);
        x = activation::relu(conv2d(x, kernel, None, ConvOptions::new([2; 2], [1; 2], [1; 2], 1)));
        input = output;
    }
    let [_, _, height, width] = x.dims();
    let means = x.reshape([IMAGES * input, height * width]).mean_dim(1);
    means.into_data().iter::<f32>().collect()
}

#[test]
fn an_encoder_gives_what_burn_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, untrained(3).unwrap().0).unwrap();
    let encoder = ImageEncoder::open(&path, 1, SIZE).unwrap();
    assert_eq!((encoder.width(), encoder.parameters()), (64, 9 * (16 + 16 * 32 + 32 * 64)));
    let (found, expected) = (encoder.embed(&images()).unwrap(), expected(3));
    assert_eq!(found.len(), IMAGES * 64);
    let differences = found.iter().zip(&expected).map(|(f, e)| (f - e).abs());
    let (worst, largest) =
        (differences.fold(0.0, f32::max), expected.iter().copied().fold(0.0, f32::max));
    assert!(largest > 0.01 && worst < 1e-5 * largest.max(1.0), "{worst} of {largest}");
    assert!(encoder.embed(&[]).unwrap().is_empty());
}

#[test]
fn what_is_no_image_encoder_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let refusal = |graph: &[u8], channels: usize| {
        fs::write(&path, graph).unwrap();
        let refused = ImageEncoder::open(&path, channels, SIZE);
        refused.err().map_or_else(String::new, |error| error.to_string())
    };
    let good = untrained(3).unwrap().0;
    assert_eq!(refusal(&good, 1), "");
    let mut flat = Graph::default();
    let axes = [Axis::Named("N"), Axis::Fixed(1), Axis::Fixed(SIZE), Axis::Fixed(SIZE)];
    let x = flat.input("image", DataType::Float, &axes);
    let x = flat.reshape(&x, &[-1]);
    flat.output("embedding", &x, &[Axis::Named("M")]);
    for (graph, channels, said) in [
        (b"no graph".to_vec(), 1, "is no image encoder: "),
        (good, 3, "is no image encoder: "),
        (flat.finish("flat"), 1, "is no image encoder: its first output is "),
    ] {
        let found = refusal(&graph, channels);
        assert!(found.contains(said), "{found}");
    }
}

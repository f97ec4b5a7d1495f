//! VQ-VAE: encoder, quantizer, decoder, one codebook update.

use anyhow::Result;
use burn::DispatchDevice;
use burn::tensor::{DType, Tensor, TensorData};
use models::engine::DeviceChoice;
use models::nn::Compute;
use models::nn::parameters::Parameters;
use models::nn::vqvae::{Decoder, EmaConfig, Encoder, Quantizer};
use models::nn::winograd::CpuEncoder;

use super::ABSOLUTE;
use super::input::{Folder, Tensors};
use super::network::HALF;
use super::report::Report;

/// Codebook ids may differ where the two nearest entries are closer than this.
const MARGIN: f64 = 1e-4;

pub(super) fn compare(
    folder: &Folder,
    choice: DeviceChoice,
    device: &DispatchDevice,
    report: &mut Report,
) -> Result<()> {
    let state = folder.tensors("vqvae_state.safetensors")?;
    let io = folder.tensors("vqvae_io.safetensors")?;
    let at = Parameters::new(&state, device, DType::F32);
    let config = folder.tokenizer_sizes()?;
    let encoder = Encoder::load(&at, config)?;
    let decoder = Decoder::load(&at, config)?;
    let quantizer = Quantizer::load(&at, config)?;
    let fast = CpuEncoder::new(encoder.clone(), config);
    for axis in (0..3).map(|a| format!("axis{a}")) {
        let x = tensor::<5>(&io, &format!("{axis}.x"), device)?;
        let blocks = encoder.blocks(x.clone());
        for (i, block) in blocks.iter().enumerate() {
            let name = format!("{axis}.enc_block{i}");
            if io.contains(&name) {
                report.close(
                    format!("tokenizer {name}"),
                    &values(block.clone()),
                    &io.f32(&name)?,
                    ABSOLUTE,
                );
            }
        }
        let z_e = encoder.forward(x);
        report.close(
            format!("tokenizer {axis}.z_e"),
            &values(z_e.clone()),
            &io.f32(&format!("{axis}.z_e"))?,
            ABSOLUTE,
        );
        if choice == DeviceChoice::Cpu {
            report.close(
                format!("tokenizer {axis}.z_e, Winograd"),
                &values(fast.forward(tensor::<5>(&io, &format!("{axis}.x"), device)?)),
                &io.f32(&format!("{axis}.z_e"))?,
                ABSOLUTE,
            );
        }
        // From here on the recorded z_e is the input, so that each row judges one stage.
        let z_e = tensor::<5>(&io, &format!("{axis}.z_e"), device)?;
        let quantized = quantizer.forward(z_e, EmaConfig::default());
        compare_ids(
            &quantizer,
            &io,
            &axis,
            &quantized.indices.into_data().iter::<i64>().collect::<Vec<_>>(),
            report,
        )?;
        let mut close = |name: &str, found: Vec<f32>| -> Result<()> {
            let name = format!("{axis}.{name}");
            report.close(format!("tokenizer {name}"), &found, &io.f32(&name)?, ABSOLUTE);
            Ok(())
        };
        close("z_q", values(quantized.entries))?;
        close("z_q_st", values(quantized.straight_through))?;
        close("loss", values(quantized.loss))?;
        let latents = tensor::<5>(&io, &format!("{axis}.z_q_st"), device)?;
        close("recon", values(decoder.forward(latents)))?;
    }
    let z_e = tensor::<5>(&io, "axis0.z_e", device)?;
    let ema = EmaConfig::default();
    let indices = quantizer.forward(z_e.clone(), ema).indices;
    let (codebook, size, sum) = quantizer.ema_step(z_e, indices, ema).state();
    for (name, found) in [
        ("embedding.weight", values(codebook)),
        ("ema_cluster_size", values(size)),
        ("ema_w", values(sum)),
    ] {
        let name = format!("ema_after.{name}");
        report.close(format!("tokenizer {name}"), &found, &io.f32(&name)?, ABSOLUTE);
    }
    Ok(())
}

/// The encoder in half precision.
pub(super) fn compare_half(
    folder: &Folder,
    device: &DispatchDevice,
    report: &mut Report,
) -> Result<()> {
    let state = folder.tensors("vqvae_state.safetensors")?;
    let io = folder.tensors("vqvae_io.safetensors")?;
    let at = Parameters::new(&state, device, DType::F16);
    let encoder = Encoder::load(&at, folder.tokenizer_sizes()?)?;
    for axis in (0..3).map(|a| format!("axis{a}")) {
        let x = tensor::<5>(&io, &format!("{axis}.x"), device)?.cast(DType::F16);
        let expected = io.f32(&format!("{axis}.z_e"))?;
        let found = values(encoder.forward(x));
        report.close(format!("half: tokenizer {axis}.z_e"), &found, &expected, HALF);
    }
    Ok(())
}

/// Ids must be equal wherever the nearest entry is nearer than the next one by [`MARGIN`].
fn compare_ids(
    quantizer: &Quantizer<Compute>,
    io: &Tensors,
    axis: &str,
    found: &[i64],
    report: &mut Report,
) -> Result<()> {
    let expected = io.i64(&format!("{axis}.indices"))?;
    let shape = io.shape(&format!("{axis}.z_e"))?;
    let z_e = io.f32(&format!("{axis}.z_e"))?;
    let codebook = values(quantizer.state().0);
    let (channels, cells) = (shape[1], shape[2..].iter().product::<usize>());
    let mut clear = 0;
    let mut wrong = 0;
    for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
        let (patch, cell) = (i / cells, i % cells);
        let value = |c: usize| f64::from(z_e[(patch * channels + c) * cells + cell]);
        let mut distances: Vec<f64> = codebook
            .chunks_exact(channels)
            .map(|entry| {
                entry.iter().enumerate().map(|(c, &e)| (value(c) - f64::from(e)).powi(2)).sum()
            })
            .collect();
        distances.sort_by(f64::total_cmp);
        if distances.get(1).is_none_or(|next| next - distances[0] > MARGIN) {
            clear += 1;
            wrong += usize::from(f != e);
        }
    }
    let note = format!("{clear} of {} ids with a margin above {MARGIN:e}", expected.len());
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
    report.push(
        format!("tokenizer {axis}.indices"),
        expected.len(),
        wrong as f64,
        0.0,
        wrong == 0 && found.len() == expected.len(),
        note,
    );
    Ok(())
}

/// A recorded tensor on the device.
pub(super) fn tensor<const N: usize>(
    io: &Tensors,
    name: &str,
    device: &DispatchDevice,
) -> Result<Tensor<Compute, N>> {
    let shape = io.shape(name)?;
    let shape: [usize; N] = shape
        .try_into()
        .map_err(|shape| anyhow::anyhow!("{name} has shape {shape:?}, expected {N} axes"))?;
    Ok(Tensor::from_data(TensorData::new(io.f32(name)?, shape), device))
}

/// A tensor's values as f32.
pub(super) fn values<const N: usize>(tensor: Tensor<Compute, N>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

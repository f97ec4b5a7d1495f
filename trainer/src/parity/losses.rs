//! CLIP and patient-discrimination losses with their gradients, and LIME's regression.

use anyhow::Result;
use burn::DispatchDevice;
use burn::tensor::Tensor;
use models::nn::Compute;
use models::nn::loss::{PatientDiscrimination, clip_loss, patient_discrimination_loss};

use super::input::{Folder, Tensors};
use super::report::Report;
use super::tokenizer::{tensor, values};
use super::{ABSOLUTE, GRADIENT_RELATIVE};

pub(super) fn compare(folder: &Folder, device: &DispatchDevice, report: &mut Report) -> Result<()> {
    let io = folder.tensors("model_io.safetensors")?;
    let device = DispatchDevice::autodiff(device.clone());
    clip(&io, &device, report)?;
    patient_discrimination(&io, &device, report)
}

fn clip(io: &Tensors, device: &DispatchDevice, report: &mut Report) -> Result<()> {
    let image = tensor::<2>(io, "cliploss.image", device)?.require_grad();
    let text = tensor::<2>(io, "cliploss.text", device)?.require_grad();
    let temperature = tensor::<1>(io, "cliploss.temperature", device)?.require_grad();
    let loss = clip_loss(image.clone(), text.clone(), temperature.clone());
    report.close(
        "cliploss.loss_temp",
        &values(loss.clone()),
        &io.f32("cliploss.loss_temp")?,
        ABSOLUTE,
    );
    // The published code also logs the loss at temperature exp(0) = 1.
    let plain = clip_loss(image.clone(), text.clone(), temperature.clone() * 0.0);
    report.close("cliploss.loss", &values(plain), &io.f32("cliploss.loss")?, ABSOLUTE);
    let gradients = loss.backward();
    let image = image.grad(&gradients).map(values);
    let text = text.grad(&gradients).map(values);
    let temperature = temperature.grad(&gradients).map(values);
    gradient("cliploss.grad_image", image, io, report)?;
    gradient("cliploss.grad_text", text, io, report)?;
    gradient("cliploss.grad_temperature", temperature, io, report)
}

fn patient_discrimination(
    io: &Tensors,
    device: &DispatchDevice,
    report: &mut Report,
) -> Result<()> {
    let u: Tensor<Compute, 2> = tensor(io, "patdis.u", device)?.require_grad();
    let tau: Tensor<Compute, 1> = tensor(io, "patdis.tau", device)?.require_grad();
    let study = io.i64("patdis.study")?;
    let loss =
        patient_discrimination_loss(u.clone(), &study, tau.clone(), PatientDiscrimination::Code);
    // A sum over series: its rounding grows with the value.
    let expected = io.f32("patdis.loss")?;
    report.within("patdis.loss", &values(loss.clone()), &expected, ABSOLUTE, 1e-6);
    let gradients = loss.backward();
    let (u, tau) = (u.grad(&gradients).map(values), tau.grad(&gradients).map(values));
    gradient("patdis.grad_u", u, io, report)?;
    gradient("patdis.grad_tau", tau, io, report)
}

fn gradient(name: &str, found: Option<Vec<f32>>, io: &Tensors, report: &mut Report) -> Result<()> {
    let found = found.unwrap_or_default();
    report.within(name, &found, &io.f32(name)?, ABSOLUTE, GRADIENT_RELATIVE);
    Ok(())
}

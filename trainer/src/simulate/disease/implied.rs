//! From a wish to lesions, and from lesions to what follows from them.

use models::labels::DIAGNOSES;

use super::{
    brush::{Blob, Gate, Shape},
    finding::{Detail, Place, Severity},
    noise::{chance, uniform},
    plan::{
        HERNIATION_SHIFT_MM, MASS_EFFECT_MM, MIDLINE_SHIFT_MM, OEDEMA_ML, Planner,
        VENTRICULOMEGALY, Wish, grade, side_of,
    },
    table::{Layout, number},
    vector::{Vec3, dot, length},
};
use crate::simulate::{
    anatomy::{self, Change},
    head::Tissue,
};

/// Step of the lattice on which oedema is estimated.
const ESTIMATE_MM: f32 = 4.0;

impl Planner<'_> {
    /// Plans one diagnosis.
    pub(super) fn add(&mut self, wish: Wish) {
        match self.entry(wish.label).layout {
            Layout::Body => self.bodies(wish),
            Layout::Dural => self.dural(wish),
            Layout::Fixed => self.fixed(wish),
            Layout::Implied => {}
            Layout::Special => self.special(wish),
        }
    }

    fn special(&mut self, wish: Wish) {
        match DIAGNOSES[wish.label] {
            "developmental_dandy_walker_malformation"
            | "developmental_dysgenesis_corpus_callosum" => self.malformed(wish),
            "developmental_heterotopia" => self.heterotopia(wish),
            "infectious_viral_encephalitis" => self.encephalitis(wish),
            "inflammatory_multiple_sclerosis" => self.multiple_sclerosis(wish),
            "inflammatory_neurosarcoid" => self.sarcoid(wish),
            "spine_syrinx" => self.syrinx(wish),
            "structural_cephaloceles" => self.cephalocele(wish),
            "structural_cerebral_atrophy" => self.atrophy(wish),
            "structural_chiari_malformation" => self.chiari(wish),
            "surgical_catheter" => self.catheter(wish),
            "surgical_craniotomy" => self.craniotomy(wish, None),
            "surgical_resection_cavity" => {
                if let Some(craniotomy) = number("surgical_craniotomy") {
                    self.resection(wish, craniotomy);
                }
            }
            "trauma_brain_contusion" => self.contusion(wish),
            "trauma_diffuse_axonal_injury" => self.axonal_injury(wish),
            "trauma_subdural_hematoma" => self.subdural(wish),
            "tumor_adult_schwannoma" => self.schwannoma(wish),
            "vascular_hemorrhagic_intraventricular_hemorrhage" => self.intraventricular(wish),
            "vascular_hemorrhagic_subarachnoid_hemorrahage" => self.subarachnoid(wish),
            "vascular_ischemic_large_vessel_stroke" => self.large_vessel(wish),
            "vascular_ischemic_moyamoya" => self.moyamoya(wish),
            "vascular_ischemic_small_vessel_disease" => self.small_vessels(wish),
            "vascular_malformation_arteriovenous_malformation" => self.malformation(wish),
            "vascular_malformation_cerebral_aneurysm" => self.aneurysm(wish),
            "ventricular_intracranial_hypotension" => self.hypotension(wish),
            _ => self.large_ventricles(wish),
        }
    }

    /// Adds what follows from the lesions, and numbers the components.
    pub(super) fn finish(&mut self) {
        let first = self.plan.findings.len();
        self.grades();
        self.scars(first);
        self.swelling();
        self.displacements();
        self.fluid();
        let mut next = 0_u8;
        for i in 0..self.plan.findings.len() {
            let painted =
                self.plan.under.iter().chain(&self.plan.over).any(|b| b.finding == Some(i));
            if painted {
                next += 1;
                self.plan.findings[i].component = Some(next);
            }
        }
        for i in first..self.plan.findings.len() {
            let finding = &self.plan.findings[i];
            if let (None, Some(cause)) = (finding.component, finding.cause)
                && matches!(
                    DIAGNOSES[finding.diagnosis],
                    "tumor_adult_glioma" | "structural_encephalomalacia"
                )
            {
                self.plan.findings[i].component = self.plan.findings[cause].component;
            }
        }
    }

    /// A finding that repeats its cause under a wider name.
    fn follow(&mut self, label: &str, cause: usize) -> Option<usize> {
        let label = number(label)?;
        if self.plan.findings.iter().any(|f| f.diagnosis == label) {
            return None;
        }
        let mut finding = self.plan.findings[cause].clone();
        finding.diagnosis = label;
        finding.cause = Some(cause);
        finding.component = None;
        self.plan.findings.push(finding);
        Some(self.plan.findings.len() - 1)
    }

    /// "Glioma" of either grade.
    fn grades(&mut self) {
        for label in ["tumor_adult_high_grade_glioma", "tumor_adult_low_grade_glioma"] {
            let found = self.plan.findings.iter().position(|f| DIAGNOSES[f.diagnosis] == label);
            if let Some(cause) = found {
                self.follow("tumor_adult_glioma", cause);
            }
        }
    }

    /// Encephalomalacia of an old territorial infarct.
    fn scars(&mut self, first: usize) {
        let old = (0..first).find(|&i| {
            let f = &self.plan.findings[i];
            f.stage == super::finding::Stage::Chronic
                && DIAGNOSES[f.diagnosis] == "vascular_ischemic_large_vessel_stroke"
        });
        if let Some(cause) = old {
            self.follow("structural_encephalomalacia", cause);
        }
    }

    /// Oedema that is large enough to be reported.
    fn swelling(&mut self) {
        let mut largest: Option<(usize, f32)> = None;
        let mut size_mm = [0.0; 3];
        let mut total_ml = 0.0;
        for &(brush, cause) in &self.oedema {
            if let Shape::Blob(blob) = &self.plan.under[brush].shape {
                let long = self.plan.findings[cause].size_mm[0] * 0.5;
                let ml = self.estimate_ml(blob, long);
                total_ml += ml;
                if largest.is_none_or(|(_, most)| ml > most) {
                    largest = Some((cause, ml));
                    size_mm = blob.radii_mm.map(|r| r * 2.0);
                }
            }
        }
        let Some((cause, _)) = largest.filter(|_| total_ml >= OEDEMA_ML) else {
            if total_ml < OEDEMA_ML * 0.4 {
                for finding in &mut self.plan.findings {
                    finding.oedema = finding.oedema.min(Severity::Mild);
                }
            }
            return;
        };
        let Some(label) = number("structural_edema") else { return };
        let variant = self.variant(label);
        let wish = Wish { label, least: 0.0, cause: Some(cause) };
        let i = self.find(wish, variant);
        let places = self.plan.findings[cause].places.clone();
        let finding = self.finding(i);
        finding.places = places;
        finding.size_mm = size_mm;
        finding.severity = grade(total_ml, [15.0, 50.0]);
        for (brush, _) in self.oedema.clone() {
            self.plan.under[brush].finding = Some(i);
        }
    }

    /// White matter inside a halo and outside of its lesion.
    fn estimate_ml(&self, blob: &Blob, lesion_mm: f32) -> f32 {
        let reach = blob.radii_mm.iter().fold(0.0_f32, |a, &b| a.max(b));
        let grow = blob.radii_mm[0] - lesion_mm;
        let steps = (0..).map(|n: u8| f32::from(n).mul_add(ESTIMATE_MM, -reach));
        let steps: Vec<f32> = steps.take_while(|&v| v <= reach).collect();
        let mut sum = 0.0;
        for &z in &steps {
            for &y in &steps {
                for &x in &steps {
                    let d = [x, y, z];
                    let along: Vec3 = std::array::from_fn(|a| dot(d, blob.axes[a]));
                    let outer: Vec3 = std::array::from_fn(|a| along[a] / blob.radii_mm[a]);
                    let inner: Vec3 =
                        std::array::from_fn(|a| along[a] / (blob.radii_mm[a] - grow).max(1.0));
                    if length(outer) < 1.0 && length(inner) > 1.0 {
                        let p = std::array::from_fn(|a| blob.centre[a] + d[a]);
                        let f = self.atlas.fractions(p);
                        sum +=
                            f[Tissue::WhiteMatter as usize] + 0.8 * f[Tissue::Brainstem as usize];
                    }
                }
            }
        }
        sum * ESTIMATE_MM.powi(3) / 1000.0
    }

    /// Mass effect, shift and herniation.
    fn displacements(&mut self) {
        let cause = (0..self.plan.findings.len()).max_by(|&a, &b| {
            let [a, b] = [a, b].map(|i| self.plan.findings[i].mass_effect_mm);
            a.total_cmp(&b)
        });
        let Some(cause) = cause else { return };
        let most = self.plan.findings[cause].mass_effect_mm;
        let shift = self.plan.shift_mm();
        let shifted = shift.abs() >= MIDLINE_SHIFT_MM;
        if most >= MASS_EFFECT_MM {
            self.structural("structural_mass_effect", cause, most, [6.5, 10.0]);
            self.plan.sulci_effaced = (most / 14.0).clamp(0.2, 0.8);
        }
        if shifted {
            let i = self.structural("structural_midline_shift", cause, shift.abs(), [5.0, 9.0]);
            if let Some(i) = i {
                // Towards the other side than the lesion's.
                let side = side_of([shift.signum() * 9.0, 0.0, 0.0]);
                self.finding(i).places = vec![Place { words: "midline", side }];
            }
        }
        if shift.abs() >= HERNIATION_SHIFT_MM {
            let i = self.structural("structural_brain_herniation", cause, shift.abs(), [8.0, 11.0]);
            if let Some(i) = i {
                self.detail(i, Detail::Subfalcine);
                if shift.abs() > 7.5 {
                    self.detail(i, Detail::Uncal);
                    self.uncus(shift);
                }
                if shift.abs() > 9.5 && chance(self.rng, 0.5) {
                    self.detail(i, Detail::Tonsillar);
                    let mm = uniform(self.rng, [4.0, 8.0]);
                    self.plan.changes.push(Change::TonsilDescent { mm });
                }
            }
        }
    }

    /// Mesial temporal lobe pushed over the edge of the tentorium.
    fn uncus(&mut self, shift: f32) {
        let side = if shift > 0.0 { anatomy::Side::Right } else { anatomy::Side::Left };
        let mm = uniform(self.rng, [4.0, 7.0]);
        self.plan.changes.push(Change::UncalHerniation { side, mm });
    }

    fn structural(
        &mut self,
        label: &str,
        cause: usize,
        mm: f32,
        limits: [f32; 2],
    ) -> Option<usize> {
        let label = number(label)?;
        let variant = self.variant(label);
        let i = self.find(Wish { label, least: 0.0, cause: Some(cause) }, variant);
        let places = self.plan.findings[cause].places.clone();
        self.finding(i).places = places;
        self.finding(i).mass_effect_mm = mm;
        self.displaced(i, mm, limits);
        Some(i)
    }

    /// Ventricles that are large by whatever cause.
    fn fluid(&mut self) {
        let factor = self.plan.ventricles;
        if factor < VENTRICULOMEGALY {
            return;
        }
        let Some(label) = number("ventricular_ventriculomegaly") else { return };
        let blockers = (0..self.plan.findings.len()).filter(|&i| {
            let f = &self.plan.findings[i];
            f.cause.is_none() && self.entry(f.diagnosis).ventricles[1] > 1.3
        });
        let cause = blockers.max_by_key(|&i| self.plan.findings[i].severity);
        let variant = self.variant(label);
        let i = self.find(Wish { label, least: 0.0, cause }, variant);
        let finding = self.finding(i);
        finding.severity = grade(factor, [2.3, 3.0]);
        finding.details.clear();
        if factor > 2.4 && chance(self.rng, 0.5) {
            self.detail(i, Detail::TransependymalFlow);
            let shape = Shape::Halo {
                width_mm: uniform(self.rng, [3.0, 6.0]),
                seed: rand::Rng::random(self.rng),
                ragged: 0.3,
            };
            let material = self.material("oedema");
            self.plan.under.push(super::brush::Brush {
                shape,
                gate: Gate::White,
                planes: Vec::new(),
                material,
                opacity: 0.75,
                finding: None,
            });
        }
    }
}

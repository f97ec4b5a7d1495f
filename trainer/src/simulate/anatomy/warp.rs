//! From a place in the patient's head back to the place in the atlas it came from.
//!
//! Only this inverse direction is needed to make pictures. Its parts, from the scanner to the
//! atlas: pose and size, smooth individual shape, ventricles, then changes and mass effect.

use super::atlas::Atlas;
use super::ventricles::Walls;
use super::{AnatomyParameters, Change};
use crate::simulate::head::Push;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Spacing of control points and standard deviation of their displacement, mm.
const SCALES: [(f32, f32); 3] = [(56.0, 7.0), (30.0, 2.6), (17.0, 1.1)];
/// An outward push fades over this depth below the dura.
const SKULL_STIFFNESS_MM: f32 = 9.0;
/// This far outside of the dura nothing soft moves; wider than the warp's lattice.
const RIGID_BEYOND_MM: f32 = 9.0;
/// Tip of the cerebellar tonsils and foramen magnum in the atlas (z).
const TONSIL_TIP_MM: f32 = -59.0;
const FORAMEN_MAGNUM_MM: f32 = -66.0;

pub(super) type Point = [f32; 3];

pub(super) fn add(a: Point, b: Point, k: f32) -> Point {
    std::array::from_fn(|i| a[i] + k * b[i])
}

pub(super) fn norm(a: Point) -> f32 {
    a.iter().map(|v| v * v).sum::<f32>().sqrt()
}

/// Rotation and size: `head = matrix * atlas + offset`.
#[derive(Clone, Debug)]
pub(super) struct Pose {
    matrix: [Point; 3],
    inverse: [Point; 3],
    offset: Point,
}

impl Pose {
    fn draw(parameters: &AnatomyParameters, rng: &mut ChaCha8Rng) -> Self {
        let mut normal = |sd: f32| -> f32 {
            let v: f32 = StandardNormal.sample(rng);
            sd * v.clamp(-2.2, 2.2)
        };
        let (pitch, yaw, roll) = (normal(0.075), normal(0.035), normal(0.035));
        let offset = [normal(2.5), normal(4.0), normal(4.0)];
        let size = parameters.head_size * growth(parameters.age_years) * (1.0 + normal(0.02));
        let scale: Point = std::array::from_fn(|_| size * (1.0 + normal(0.022)));
        let (sx, cx) = pitch.sin_cos();
        let (sy, cy) = roll.sin_cos();
        let (sz, cz) = yaw.sin_cos();
        let about_x = [[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]];
        let about_y = [[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]];
        let about_z = [[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]];
        let rotation = product(&product(&about_z, &about_y), &about_x);
        let matrix = rotation.map(|row| std::array::from_fn(|a| row[a] * scale[a]));
        let inverse = std::array::from_fn(|a| std::array::from_fn(|b| rotation[b][a] / scale[a]));
        Self { matrix, inverse, offset }
    }

    pub(super) fn forward(&self, p: Point) -> Point {
        std::array::from_fn(|a| dot(self.matrix[a], p) + self.offset[a])
    }

    pub(super) fn direction(&self, d: Point) -> Point {
        self.matrix.map(|row| dot(row, d))
    }

    fn back(&self, p: Point) -> Point {
        let q = add(p, self.offset, -1.0);
        self.inverse.map(|row| dot(row, q))
    }
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn product(a: &[Point; 3], b: &[Point; 3]) -> [Point; 3] {
    a.map(|row| std::array::from_fn(|k| (0..3).map(|j| row[j] * b[j][k]).sum()))
}

/// Size of a head relative to an adult's: 0.86 at two years, 0.97 at ten.
fn growth(age_years: f32) -> f32 {
    1.0 - 0.2 * (-age_years.max(2.0) / 5.5).exp()
}

/// Random smooth displacement: a sum of cubic B-splines.
#[derive(Clone, Debug)]
struct Shape {
    layers: Vec<(f32, [usize; 3], Vec<Point>)>,
    origin_mm: Point,
}

impl Shape {
    fn draw(atlas: &Atlas, rng: &mut ChaCha8Rng) -> Self {
        let grid = &atlas.grid;
        let layers = SCALES
            .iter()
            .map(|&(spacing, sd)| {
                let size: [usize; 3] =
                    std::array::from_fn(|a| (grid.size[a] as f32 / spacing) as usize + 5);
                let points = (0..size.iter().product())
                    .map(|_| {
                        std::array::from_fn(|_| {
                            let v: f32 = StandardNormal.sample(rng);
                            sd * v.clamp(-2.5, 2.5)
                        })
                    })
                    .collect();
                (spacing, size, points)
            })
            .collect();
        Self { layers, origin_mm: grid.origin_mm }
    }

    fn at(&self, p: Point) -> Point {
        let mut sum = [0.0; 3];
        for (spacing, size, points) in &self.layers {
            let mut base = [0usize; 3];
            let mut weights = [[0f32; 4]; 3];
            for a in 0..3 {
                let v =
                    ((p[a] - self.origin_mm[a]) / spacing + 1.0).clamp(1.0, (size[a] - 3) as f32);
                base[a] = v as usize - 1;
                weights[a] = spline(v - v.floor());
            }
            for (k, wz) in weights[2].iter().enumerate() {
                for (j, wy) in weights[1].iter().enumerate() {
                    let row = ((base[2] + k) * size[1] + base[1] + j) * size[0] + base[0];
                    for (i, wx) in weights[0].iter().enumerate() {
                        if let Some(point) = points.get(row + i) {
                            sum = add(sum, *point, wx * wy * wz);
                        }
                    }
                }
            }
        }
        sum
    }
}

/// Weights of the uniform cubic B-spline.
fn spline(t: f32) -> [f32; 4] {
    let u = 1.0 - t;
    [
        u * u * u / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0,
        t * t * t / 6.0,
    ]
}

/// The whole inverse map of one patient.
#[derive(Clone, Debug)]
pub(super) struct Warp<'a> {
    atlas: &'a Atlas,
    pub(super) pose: Pose,
    shape: Shape,
    walls: Walls,
    /// Moves bone too.
    rigid: Vec<Push>,
    /// Stopped by the skull.
    soft: Vec<Push>,
    tonsil_drop_mm: f32,
}

impl<'a> Warp<'a> {
    pub(super) fn draw(
        atlas: &'a Atlas,
        parameters: &AnatomyParameters,
        ventricle_factor: f32,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let pose = Pose::draw(parameters, rng);
        let shape = Shape::draw(atlas, rng);
        let mut warp = Self {
            atlas,
            pose,
            shape,
            walls: Walls {
                wall_mm: atlas.ventricles.wall_for(ventricle_factor),
                temporal_mm: 2.2 * parameters.temporal_atrophy,
                posterior_mm: 0.0,
            },
            rigid: Vec::new(),
            soft: parameters.pushes.clone(),
            tonsil_drop_mm: 0.0,
        };
        for change in &parameters.changes {
            warp.change(change);
        }
        // A little asymmetry of the tonsils and of the ventricles is normal.
        warp.soft.push(Push {
            centre_mm: [0.0, 5.0, 15.0],
            radius_mm: 20.0,
            displacement_mm: rng.random_range(-0.8..0.8),
            reach_mm: 30.0,
            direction: Some([1.0, 0.0, 0.0]),
        });
        warp
    }

    fn change(&mut self, change: &Change) {
        let along = |centre_mm, radius_mm, reach_mm, displacement_mm, direction| Push {
            centre_mm,
            radius_mm,
            displacement_mm,
            reach_mm,
            direction,
        };
        match *change {
            Change::NoCallosum { extent } => {
                self.walls.posterior_mm += 4.5 * extent;
                for x in [-9.0, 9.0] {
                    let outward = Some([x / 9.0, 0.0, 0.0]);
                    self.soft.push(along([x, -12.0, 12.0], 9.0, 12.0, 4.5 * extent, outward));
                }
            }
            Change::DandyWalker { severity } => {
                self.soft.push(along([0.0, 52.0, -34.0], 9.0, 18.0, 13.0 * severity, None));
                let up = Some([0.0, -0.3, 1.0]);
                self.soft.push(along([0.0, 62.0, -8.0], 12.0, 16.0, 7.0 * severity, up));
            }
            Change::TonsilDescent { mm } => {
                // The tips lie beside the axis of the descent and lag behind it.
                self.tonsil_drop_mm = 1.15 * (TONSIL_TIP_MM - FORAMEN_MAGNUM_MM + mm).max(0.0);
            }
            Change::BrainSag { mm } => {
                let down = Some([0.0, 0.1, -1.0]);
                self.soft.push(along([0.0, 18.0, -8.0], 18.0, 24.0, mm, down));
            }
            Change::MidlineShift { mm, towards, centre_mm } => {
                let aside = Some([towards.sign(), 0.0, 0.0]);
                self.soft.push(along(centre_mm, 16.0, 26.0, mm, aside));
            }
            Change::UncalHerniation { side, mm } => {
                let medial = Some([-side.sign(), 0.1, -0.3]);
                self.soft.push(along([25.0 * side.sign(), 7.0, -22.0], 6.0, 9.0, mm, medial));
            }
            Change::EnlargedSella { mm, .. } => {
                self.rigid.push(along([0.0, -6.0, -29.5], 5.0, 8.0, mm, None));
            }
        }
    }

    /// Where `head_mm` lies when pushes and changes are left out, bone included.
    pub(super) fn before_mass(&self, head_mm: Point) -> Point {
        let q = self.pose.back(head_mm);
        let q = add(q, self.shape.at(q), 1.0);
        self.rigid.iter().rev().fold(q, |q, push| unpush(push, q, 1.0))
    }

    /// Where in the atlas the tissue before mass effect at `q` comes from.
    pub(super) fn source(&self, q: Point) -> Point {
        let depth = -self.atlas.dura.at(q);
        if depth < -RIGID_BEYOND_MM {
            return q;
        }
        let outward = self.atlas.dura.gradient(q);
        let give = smoothstep(depth / SKULL_STIFFNESS_MM);
        let mut a = q;
        for push in self.soft.iter().rev() {
            let away = push.direction.unwrap_or_else(|| add(a, push.centre_mm, -1.0));
            let sign = push.displacement_mm.signum();
            let towards_skull = sign * dot(away, outward) / norm(away).max(1e-3);
            let free = 1.0 - (1.0 - give) * towards_skull.clamp(0.0, 1.0);
            a = unpush(push, a, free);
        }
        self.atlas.ventricles.before(self.walls, self.before_tonsils(a))
    }

    fn before_tonsils(&self, p: Point) -> Point {
        if self.tonsil_drop_mm <= 0.0 {
            return p;
        }
        // The canal narrows downwards and lies farther forward than the tonsils.
        let low = smoothstep((-56.0 - p[2]) / 14.0);
        let lateral = (p[0] / (13.0 - 2.0 * low)).powi(4)
            + ((p[1] - 54.0 + 4.0 * low) / (11.0 - 5.0 * low)).powi(4);
        let weight = (-lateral).exp();
        let drop = self.tonsil_drop_mm * weight;
        let (top, tip) = (-24.0, TONSIL_TIP_MM);
        let end = tip - drop - 25.0;
        let z = if p[2] >= top || p[2] <= end {
            p[2]
        } else if p[2] >= tip - drop {
            top + (p[2] - top) * (tip - top) / (tip - drop - top)
        } else {
            tip + (p[2] - (tip - drop)) * (end - tip) / (end - (tip - drop))
        };
        [p[0] * (1.0 + 0.5 * low * weight), p[1] + 4.0 * low * weight, z]
    }
}

/// Displacement of a push at a distance from its centre.
fn reach_of(push: &Push, limit: f32, d: f32) -> f32 {
    let beyond = (d - push.radius_mm).max(0.0) / push.reach_mm.max(1.0);
    let inside = if push.direction.is_none() && d < push.radius_mm {
        d / push.radius_mm.max(0.1)
    } else {
        1.0
    };
    limit * inside * (-0.5 * beyond * beyond).exp()
}

/// Undoes a push: where did what is now at `p` come from? `free` scales it down near bone.
fn unpush(push: &Push, p: Point, free: f32) -> Point {
    // Steeper than this would fold tissue over itself.
    let most = 1.35 * push.reach_mm.max(1.0);
    let least = if push.direction.is_none() { -0.85 * push.radius_mm } else { -most };
    let limit = (push.displacement_mm * free).clamp(least.min(0.0), most);
    let from = add(p, push.centre_mm, -1.0);
    let now = norm(from);
    if limit == 0.0 || now > push.radius_mm + limit.abs() + 4.0 * push.reach_mm {
        return p;
    }
    if let Some(direction) = push.direction {
        let length = norm(direction).max(1e-6);
        let unit = direction.map(|v| v / length);
        // Distances along the direction are monotone: bisect.
        let (mut low, mut high) = (-limit.abs(), limit.abs());
        for _ in 0..16 {
            let t = 0.5 * (low + high);
            let before = add(p, unit, -t);
            let moved = reach_of(push, limit, norm(add(before, push.centre_mm, -1.0)));
            if moved > t {
                low = t;
            } else {
                high = t;
            }
        }
        return add(p, unit, -0.5 * (low + high));
    }
    let (mut low, mut high) = (0.0, now + limit.abs());
    for _ in 0..18 {
        let d = 0.5 * (low + high);
        if d + reach_of(push, limit, d) < now {
            low = d;
        } else {
            high = d;
        }
    }
    let before = 0.5 * (low + high);
    add(push.centre_mm, from, if now > 1e-4 { before / now } else { 0.0 })
}

pub(super) fn smoothstep(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_undone_where_it_is_defined() {
        let radial = Push {
            centre_mm: [20.0, 0.0, 10.0],
            radius_mm: 10.0,
            displacement_mm: 5.0,
            reach_mm: 12.0,
            direction: None,
        };
        let straight = Push { direction: Some([-2.0, 0.0, 0.0]), ..radial };
        for d in [0.0f32, 4.0, 10.0, 16.0, 25.0, 80.0] {
            let a = [20.0 + d, 0.0, 10.0];
            let beyond: f32 = (d - 10.0) / 12.0;
            let expected = if d < 10.0 { 0.5 * d } else { 5.0 * (-0.5 * beyond * beyond).exp() };
            let now = [a[0] + expected, 0.0, 10.0];
            assert!((unpush(&radial, now, 1.0)[0] - a[0]).abs() < 0.01, "radial, {d} mm");
            let expected = if d < 10.0 { 5.0 } else { expected };
            let now = [a[0] - expected, 0.0, 10.0];
            assert!((unpush(&straight, now, 1.0)[0] - a[0]).abs() < 0.01, "straight, {d} mm");
        }
        assert_eq!(unpush(&radial, [30.0, 0.0, 10.0], 0.0), [30.0, 0.0, 10.0]);
    }
}

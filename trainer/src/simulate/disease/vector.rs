//! Three-component vectors in millimetres.

/// A point or direction.
pub(super) type Vec3 = [f32; 3];

/// `a + b * s`.
pub(super) fn add(a: Vec3, b: Vec3, s: f32) -> Vec3 {
    std::array::from_fn(|i| b[i].mul_add(s, a[i]))
}

/// `a - b`.
pub(super) fn sub(a: Vec3, b: Vec3) -> Vec3 {
    std::array::from_fn(|i| a[i] - b[i])
}

/// Scalar product.
pub(super) fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Length.
pub(super) fn length(a: Vec3) -> f32 {
    dot(a, a).sqrt()
}

/// Direction of a vector; of the zero vector, upwards.
pub(super) fn unit(a: Vec3) -> Vec3 {
    let l = length(a);
    if l > 1e-6 { a.map(|v| v / l) } else { [0.0, 0.0, 1.0] }
}

/// Vector product.
pub(super) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// A right-handed frame whose first axis is given.
pub(super) fn frame(first: Vec3) -> [Vec3; 3] {
    let a = unit(first);
    let other = if a[2].abs() < 0.8 { [0.0, 0.0, 1.0] } else { [1.0, 0.0, 0.0] };
    let b = unit(cross(a, other));
    [a, b, cross(a, b)]
}

/// Distance of a point from the segment `a`-`b`, and how far along it (0..1).
pub(super) fn to_segment(p: Vec3, a: Vec3, b: Vec3) -> (f32, f32) {
    let ab = sub(b, a);
    let t = (dot(sub(p, a), ab) / dot(ab, ab).max(1e-6)).clamp(0.0, 1.0);
    (length(sub(p, add(a, ab, t))), t)
}

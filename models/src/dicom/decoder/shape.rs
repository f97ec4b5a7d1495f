//! What a compressed stream says about itself, read before a codec sees it: a stream that claims
//! another size than its data set is refused before anything is allocated for it.

/// Size and depth declared by a JPEG, JPEG-LS or JPEG 2000 stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamShape {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) components: u32,
    /// Bits per sample.
    pub(super) precision: u32,
    /// True for JPEG 2000 streams of signed samples; the other two do not know signs.
    pub(super) signed: bool,
    /// The frame header's marker: C0 baseline, C1 extended, C3 lossless, F7 JPEG-LS, 51 for
    /// JPEG 2000.
    pub(super) process: u8,
    /// False for JPEG-LS colour planes one after the other.
    pub(super) interleaved: bool,
    /// Components are numbered 1, 2, 3, which decoders take for YCbCr.
    pub(super) numbered: bool,
}

/// Reads the frame header of a JPEG or JPEG-LS stream (ITU-T T.81 B.2.2, T.87 C.2.2).
pub(super) fn of_jpeg(stream: &[u8]) -> Option<StreamShape> {
    let mut at = 0;
    let mut shape: Option<StreamShape> = None;
    loop {
        // Markers may be preceded by fill bytes.
        at += stream.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        at += stream.get(at..)?.iter().position(|&byte| byte != 0xFF)?;
        let marker = *stream.get(at)?;
        at += 1;
        if matches!(marker, 0x00 | 0x01 | 0xD0..=0xD8) {
            continue;
        }
        let length = usize::from(u16::from_be_bytes(stream.get(at..at + 2)?.try_into().ok()?));
        let segment = stream.get(at + 2..at + length)?;
        match (marker, segment) {
            (0xDA, _) => {
                let mut shape = shape?;
                // Ns, then a pair for each component, NEAR, ILV.
                let components = usize::from(*segment.first()?);
                let mode = segment.get(1 + 2 * components + 1).copied().unwrap_or(0);
                shape.interleaved = shape.process != 0xF7 || mode != 0;
                return Some(shape);
            }
            (
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF | 0xF7,
                &[precision, r1, r0, c1, c0, components, ref specifications @ ..],
            ) => {
                let numbers = specifications.chunks_exact(3).map(|component| component[0]);
                shape = Some(StreamShape {
                    rows: u32::from_be_bytes([0, 0, r1, r0]),
                    columns: u32::from_be_bytes([0, 0, c1, c0]),
                    components: u32::from(components),
                    precision: u32::from(precision),
                    signed: false,
                    process: marker,
                    interleaved: true,
                    numbered: numbers.eq(1..=3),
                });
            }
            _ => {}
        }
        at += length;
    }
}

/// Reads the SIZ segment of a JPEG 2000 code stream (ITU-T T.800 A.5.1), which some writers wrap
/// in a JP2 file. Components must be of one size and depth.
pub(super) fn of_jpeg2000(stream: &[u8]) -> Option<StreamShape> {
    let start = stream.windows(4).position(|bytes| bytes == [0xFF, 0x4F, 0xFF, 0x51])?;
    let siz = stream.get(start + 6..)?;
    let word = |at: usize| Some(u32::from_be_bytes(siz.get(at..at + 4)?.try_into().ok()?));
    let components = u16::from_be_bytes(siz.get(34..36)?.try_into().ok()?);
    let first = siz.get(36..39)?;
    let (each, _) = siz.get(36..36 + 3 * usize::from(components))?.as_chunks::<3>();
    let uniform = each.iter().all(|component| component == first && component[1..] == [1, 1]);
    let depth = *first.first().filter(|_| uniform)?;
    Some(StreamShape {
        rows: word(6)?.checked_sub(word(14)?)?,
        columns: word(2)?.checked_sub(word(10)?)?,
        components: u32::from(components),
        precision: u32::from(depth & 0x7F) + 1,
        signed: depth & 0x80 != 0,
        process: 0x51,
        interleaved: true,
        numbered: false,
    })
}

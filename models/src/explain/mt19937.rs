//! The Mersenne Twister of NumPy's legacy `RandomState`, so that a seed means the same masks here
//! and in the published code (Matsumoto and Nishimura 1998, MT19937).

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// MT19937 with 32-bit output.
pub(super) struct Mt19937 {
    state: [u32; WORDS],
    next: usize,
}

impl Mt19937 {
    /// State as `RandomState(seed)` has it for a seed that is one integer.
    pub(super) fn seeded(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        let mut previous = seed;
        for (place, word) in (1_u32..).zip(&mut state[1..]) {
            previous = 1_812_433_253_u32.wrapping_mul(previous ^ (previous >> 30));
            previous = previous.wrapping_add(place);
            *word = previous;
        }
        Self { state, next: WORDS }
    }

    /// The next 32 bits.
    pub(super) fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.renew();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// One round of the recurrence over the whole state; each step reads words already renewed.
    fn renew(&mut self) {
        for place in 0..WORDS {
            let joined =
                (self.state[place] & 0x8000_0000) | (self.state[(place + 1) % WORDS] & 0x7fff_ffff);
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[place] = self.state[(place + SHIFT) % WORDS] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Mt19937;

    #[test]
    fn equals_the_published_reference_sequence() {
        // The C++ standard fixes the 10,000th output for seed 5489 ([rand.predef]).
        let mut generator = Mt19937::seeded(5489);
        let last = (0..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}

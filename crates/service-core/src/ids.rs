//! Identifiers in the form of random UUIDs, derived from a seed and a counter: the same calls give the same ids.

/// The `serial`-th UUID of a seed, in lower case.
pub(crate) fn uuid(seed: u64, serial: u64) -> String {
    let high = mix(seed ^ mix(serial));
    let low = mix(high.wrapping_add(serial));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff,
    )
}

/// The finaliser of SplitMix64: every bit of the input reaches every bit of the output.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number that tells texts apart; no secret and no protection.
pub(crate) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_seed_and_by_number_and_have_the_form_of_version_4() {
        let ids: std::collections::BTreeSet<String> =
            (0..10).flat_map(|seed| (0..100).map(move |serial| uuid(seed, serial))).collect();
        assert_eq!(ids.len(), 1000);
        assert_eq!(uuid(7, 3), uuid(7, 3));
        for id in ids {
            let groups: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
            assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
        }
    }
}

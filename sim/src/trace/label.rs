//! Tiers and tenants for traces that have none.
//!
//! The rules are those of the traces' description, so that every tool labels a row alike. They are ours, not
//! the publishers'; `Workload::sources` says where they were used.

/// Weights of the sixteen tenants: one large, a long tail.
const TENANT_WEIGHTS: [u8; 16] = [16, 8, 5, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1];

/// The sum of [`TENANT_WEIGHTS`].
pub(super) const PARTS_OF_TENANTS: u64 = 50;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// 64-bit FNV-1a of the key, its upper half folded into the lower one, whose bits are weak in plain FNV-1a.
#[must_use]
pub fn fnv1a64_folded(key: &str) -> u64 {
    let hash = key.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    hash ^ (hash >> 32)
}

/// The tenant, 0 to 15 for `t00` to `t15`, that the key's hash picks by weight.
#[must_use]
pub fn tenant_of_sixteen(key: &str) -> u8 {
    tenant_at(fnv1a64_folded(key) % PARTS_OF_TENANTS)
}

/// The tenant that has a part, of [`PARTS_OF_TENANTS`].
pub(super) fn tenant_at(part: u64) -> u8 {
    let mut left = part;
    let mut tenant = 0;
    for weight in TENANT_WEIGHTS {
        if left < u64::from(weight) {
            break;
        }
        left -= u64::from(weight);
        tenant += 1;
    }
    tenant
}

/// Three clients in ten P0, four P1, three P2. `client` is without the leading `tier/`.
pub(super) fn tier_of_client(client: &str) -> u8 {
    match fnv1a64_folded(&format!("tier/{client}")) % 10 {
        0..=2 => 0,
        3..=6 => 1,
        _ => 2,
    }
}

/// A third each. `row` is without the leading `tier/`.
pub(super) fn tier_in_thirds(row: &str) -> u8 {
    (fnv1a64_folded(&format!("tier/{row}")) % 3) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_equal_the_published_vectors() {
        for (key, hash) in [
            ("azure/conv/2023-11-16 18:15:46.6805900", 0xc88b_8d9a_30cf_4bbb),
            ("mooncake/1", 0x94c4_39a5_8975_fb75),
            ("arxiv/0", 0x6abd_99e2_c4d7_84bc),
            ("sharegpt/0", 0x3677_9bf9_db30_177f),
            ("tier/servegen/deepseek-r1/35", 0x12cd_0c18_7ab9_611f_u64),
            ("tier/vtc/dummy-lora-7b-rank-8-0", 0x083d_26ed_6173_1757),
            ("tier/sharegpt/0", 0xe8fd_997d_1ca9_b2c4),
        ] {
            assert_eq!(fnv1a64_folded(key), hash, "{key}");
        }
    }

    #[test]
    fn tenants_equal_the_published_vectors() {
        assert_eq!(tenant_of_sixteen("azure/conv/2023-11-16 18:15:46.6805900"), 7);
        assert_eq!(tenant_of_sixteen("mooncake/1"), 0);
        assert_eq!(tenant_of_sixteen("arxiv/0"), 3);
        assert_eq!(tenant_of_sixteen("sharegpt/0"), 6);
    }

    #[test]
    fn tiers_equal_the_published_vectors() {
        assert_eq!(tier_of_client("servegen/deepseek-r1/35"), 2);
        assert_eq!(tier_of_client("vtc/dummy-lora-7b-rank-8-0"), 0);
        assert_eq!(tier_in_thirds("sharegpt/0"), 2);
    }

    #[test]
    fn every_hash_picks_a_tenant() {
        assert_eq!(TENANT_WEIGHTS.iter().map(|&weight| u64::from(weight)).sum::<u64>(), PARTS_OF_TENANTS);
    }
}

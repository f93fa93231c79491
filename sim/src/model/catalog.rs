//! The published models. Sources and numbers: Sheng et al., "Fairness in Serving Large Language Models"
//! (VTC, OSDI 2024); the OPT fits of DistServe's artifact (OSDI 2024); Niyama (ASPLOS 2026); measured medians of
//! Splitwise's artifact (ISCA 2024). Coefficients are
//! in femtoseconds (1 ms = 10^12 fs) and equal the published decimals exactly.

use super::{Batching, DecodeTerms, Formula, MixedTerms, Point, PrefillTerms, ServiceModel};

/// The model that a replay uses unless told otherwise.
pub const DEFAULT_MODEL: &str = "llama3-8b";

/// The id printed for workloads of GPU jobs, which carry their own durations and need no formula.
pub const GPU_JOBS: &str = "gpu-jobs";

/// Requests that an OPT worker runs at a time: vLLM's default `max_num_seqs` of that time.
const OPT_SLOTS: u32 = 256;

/// Prompt tokens of one iteration of an OPT worker. Chosen arbitrarily: a prompt of the model's largest
/// context, 2,048 tokens, fits.
const OPT_PREFILL: Batching = Batching::PrefillFirst { tokens: 2_048 };

/// Decodes from which the second half of the OPT fits holds.
const OPT_KNEE: u64 = 95;

/// An OPT fit has no lower bound on a decode iteration but its own base.
const fn opt_decode(base: i64, context: i64, token: i64) -> DecodeTerms {
    DecodeTerms { base, token, context, least: 0 }
}

/// Every model there is, the default first.
pub const MODELS: &[ServiceModel] = &[
    ServiceModel {
        id: DEFAULT_MODEL,
        source: "Llama-3 8B, GPU not named: linear fits of Niyama's artifact (ASPLOS 2026)",
        formula: Formula::MixedByTokens {
            knee: 512,
            below: MixedTerms {
                base: 14_936_000_000_000,
                token: 58_824_750_000,
                prefill_token: 22_479_560_000,
                decode_token: 36_345_190_000,
                decode_context: 111_125_800,
                prefill_context: 755_477_300,
            },
            above: MixedTerms {
                base: 5_004_000_000_000,
                token: 27_190_500_000,
                prefill_token: 68_630_430_000,
                decode_token: -41_439_930_000,
                decode_context: 166_340_900,
                prefill_context: 2_727_223_000,
            },
        },
        // 512 is where the two fits meet, and the largest iteration that keeps decodes under 100 ms.
        // One prompt at a time would let an urgent one wait for the whole of a long one of its own tier.
        batching: Batching::Chunked { tokens: 512, prompts: 4 },
        // Our choice, the artifact gives none: 16 GiB at 128 KiB per token, what a 40 GB GPU has left.
        kv_blocks: 8_192,
        slots: 64,
        kv_bytes_per_token: 128 << 10,
    },
    ServiceModel {
        id: "a10g-llama7b",
        source: "Llama-2 7B on an A10G: fit of the GPU logs of VTC's artifact (OSDI 2024)",
        formula: Formula::Apart {
            prefill: PrefillTerms { base: 30_000_000_000_000, token: 214_000_000_000, square: 0 },
            // 18.16 ms for the model and 4.0 ms for the server around it.
            decode_below: A10G_DECODE,
            knee: u64::MAX,
            decode_above: A10G_DECODE,
        },
        batching: Batching::PrefillFirst { tokens: 3_072 },
        kv_blocks: 625, // 10,000 tokens
        slots: 64,
        kv_bytes_per_token: 512 << 10,
    },
    ServiceModel {
        id: "a100-opt13b-tp1",
        source: "OPT-13B on one A100 80 GB: DistServe's artifact (OSDI 2024), its own engine",
        formula: Formula::Apart {
            prefill: PrefillTerms { base: 18_102_500_000_000, token: 101_912_000_000, square: 7_122_300 },
            decode_below: opt_decode(19_934_700_000_000, 626_940_000, 38_507_000_000),
            knee: OPT_KNEE,
            decode_above: opt_decode(7_166_200_000_000, 579_800_000, 158_311_000_000),
        },
        batching: OPT_PREFILL,
        kv_blocks: 4_134, // 66,144 tokens
        slots: OPT_SLOTS,
        kv_bytes_per_token: 800 << 10,
    },
    ServiceModel {
        id: "a100-opt13b-tp1-vllm",
        source: "OPT-13B on one A100 80 GB: DistServe's artifact (OSDI 2024), vLLM",
        formula: Formula::Apart {
            prefill: PrefillTerms { base: 22_052_200_000_000, token: 140_509_000_000, square: 8_076_600 },
            decode_below: opt_decode(23_475_000_000_000, 592_930_000, 60_727_000_000),
            knee: OPT_KNEE,
            decode_above: opt_decode(20_206_400_000_000, 490_770_000, 120_003_000_000),
        },
        batching: OPT_PREFILL,
        kv_blocks: 4_134, // 66,144 tokens
        slots: OPT_SLOTS,
        kv_bytes_per_token: 800 << 10,
    },
    ServiceModel {
        id: "a100-opt66b-tp4",
        source: "OPT-66B on four A100 80 GB: DistServe's artifact (OSDI 2024), its own engine",
        formula: Formula::Apart {
            prefill: PrefillTerms { base: 29_441_600_000_000, token: 151_352_000_000, square: 8_317_500 },
            decode_below: opt_decode(30_760_300_000_000, 451_950_000, 63_284_000_000),
            knee: OPT_KNEE,
            decode_above: opt_decode(27_470_800_000_000, 404_680_000, 124_807_000_000),
        },
        batching: OPT_PREFILL,
        kv_blocks: 4_906, // 78,496 tokens
        slots: OPT_SLOTS,
        // 2 * 64 layers * 72 heads * 128 * 2 bytes, a quarter on each GPU's own link.
        kv_bytes_per_token: 576 << 10,
    },
    ServiceModel {
        id: "h100-llama2-70b-tp8",
        source: "Llama-2 70B on eight H100 80 GB: medians measured for Splitwise's artifact (ISCA 2024)",
        formula: Formula::Measured {
            prefill: LLAMA70B_PROMPTS.measured([53_900, 77_900, 136_800, 390_300, 844_900]),
            decode: LLAMA70B_DECODES.measured([30_600, 34_200, 38_600, 50_200]),
            mixed_percent: MIXED_PERCENT,
        },
        batching: LLAMA70B_PREFILL,
        kv_blocks: LLAMA70B_BLOCKS,
        slots: LLAMA70B_SLOTS,
        kv_bytes_per_token: LLAMA70B_BYTES,
    },
    ServiceModel {
        id: "a100-llama2-70b-tp8",
        source: "Llama-2 70B on eight A100 80 GB: medians measured for Splitwise's artifact (ISCA 2024)",
        formula: Formula::Measured {
            prefill: LLAMA70B_PROMPTS.measured([93_000, 154_500, 274_200, 661_200, 1_549_800]),
            decode: LLAMA70B_DECODES.measured([45_000, 50_400, 53_000, 71_600]),
            mixed_percent: MIXED_PERCENT,
        },
        batching: LLAMA70B_PREFILL,
        kv_blocks: LLAMA70B_BLOCKS,
        slots: LLAMA70B_SLOTS,
        kv_bytes_per_token: LLAMA70B_BYTES,
    },
];

/// Numbers of tokens at which iterations were measured.
struct Measured<const N: usize>([u32; N]);

impl<const N: usize> Measured<N> {
    /// With how long they took, in microseconds.
    const fn measured(&self, micros: [i64; N]) -> [Point; N] {
        let mut points = [(0, 0); N];
        let mut place = 0;
        while place < N {
            points[place] = (self.0[place], micros[place] * 1_000_000_000);
            place += 1;
        }
        points
    }
}

/// Prompts of one request, and decodes with a context of 512 tokens each.
const LLAMA70B_PROMPTS: Measured<5> = Measured([512, 1_024, 2_048, 4_096, 8_192]);
const LLAMA70B_DECODES: Measured<4> = Measured([1, 16, 32, 64]);

/// What decodes beside prompts cost: a tenth more than if their tokens were of prompts, as the artifact has it.
const MIXED_PERCENT: u32 = 110;

/// Whole prompts, as the artifact has them; how many tokens at once is our choice.
const LLAMA70B_PREFILL: Batching = Batching::PrefillFirst { tokens: 2_048 };

/// The largest batch that was measured: beyond it the line is a guess.
const LLAMA70B_SLOTS: u32 = 64;

/// Our choice, the source gives none: half of the 640 GB of eight GPUs, 320 GiB at 320 KiB per token; the weights take 130.
const LLAMA70B_BLOCKS: u32 = 65_536;

/// 320 KiB, an eighth on each GPU's own link.
const LLAMA70B_BYTES: u32 = 40 << 10;

const A10G_DECODE: DecodeTerms = DecodeTerms {
    base: 22_160_000_000_000,
    token: 216_000_000_000,
    context: 1_890_000_000,
    least: 36_500_000_000_000,
};

#[cfg(test)]
mod tests {
    use super::super::Load;
    use super::*;

    fn model(id: &str) -> &'static ServiceModel {
        ServiceModel::by_id(id).expect("the id stands in the table")
    }

    fn prompt(tokens: u64) -> Load {
        Load { prefill_tokens: tokens, prefill_squares: tokens * tokens, ..Load::default() }
    }

    fn decode(requests: u64, context: u64) -> Load {
        Load { decode_tokens: requests, decode_context: context, ..Load::default() }
    }

    /// Milliseconds of the published decimals against ours, to the nanosecond that truncation may cost.
    fn close(ns: u64, milliseconds: f64) {
        let published = milliseconds * 1e6;
        assert!((ns as f64 - published).abs() <= 1.5, "{ns} ns is not {published} ns");
    }

    #[test]
    fn llama3_follows_niyama_on_both_sides_of_its_knee() {
        let m = model("llama3-8b");
        close(m.iteration_ns(&prompt(512)), 1e3 * (0.014936 + 512.0 * (5.882475e-5 + 2.247956e-5)));
        // The figure that papers.md prints for a 512-token prompt.
        assert_eq!(m.iteration_ns(&prompt(512)) / 100_000, 565);
        close(m.iteration_ns(&prompt(2_048)), 1e3 * (0.005004 + 2_048.0 * (2.719050e-5 + 6.863043e-5)));
        let mixed = Load {
            prefill_tokens: 480,
            prefill_context: 1_024,
            prefill_squares: 0,
            decode_tokens: 32,
            decode_context: 40_000,
        };
        let expected = 0.014936
            + 512.0 * 5.882475e-5
            + 480.0 * 2.247956e-5
            + 32.0 * 3.634519e-5
            + 40_000.0 * 1.111258e-7
            + 1_024.0 * 7.554773e-7;
        close(m.iteration_ns(&mixed), 1e3 * expected);
        let beyond = Load { decode_tokens: 64, ..mixed };
        let expected = 0.005004 + 544.0 * 2.719050e-5 + 480.0 * 6.863043e-5 - 64.0 * 4.143993e-5
            + 40_000.0 * 1.663409e-7
            + 1_024.0 * 2.727223e-6;
        close(m.iteration_ns(&beyond), 1e3 * expected);
    }

    #[test]
    fn a10g_decodes_no_faster_than_its_floor() {
        let m = model("a10g-llama7b");
        close(m.iteration_ns(&prompt(1_000)), 30.0 + 214.0);
        close(m.iteration_ns(&decode(1, 256)), 36.5);
        close(m.iteration_ns(&decode(30, 9_000)), 18.16 + 0.216 * 30.0 + 0.00189 * 9_000.0 + 4.0);
        assert_eq!(m.kv_blocks, 10_000 / 16);
    }

    #[test]
    fn opt13b_switches_fits_at_95_decodes() {
        let m = model("a100-opt13b-tp1");
        close(m.iteration_ns(&prompt(512)), 18.1025 + 0.101912 * 512.0 + 7.1223e-6 * 512.0 * 512.0);
        close(m.iteration_ns(&decode(94, 50_000)), 19.9347 + 6.2694e-4 * 50_000.0 + 0.038507 * 94.0);
        close(m.iteration_ns(&decode(95, 50_000)), 7.1662 + 5.7980e-4 * 50_000.0 + 0.158311 * 95.0);
        assert_eq!(m.kv_blocks * 16, 66_144);
    }

    #[test]
    fn the_other_opt_fits_carry_their_own_numbers() {
        let m = model("a100-opt13b-tp1-vllm");
        close(m.iteration_ns(&prompt(1_000)), 22.0522 + 140.509 + 8.0766);
        close(m.iteration_ns(&decode(10, 8_000)), 23.4750 + 5.9293e-4 * 8_000.0 + 0.60727);
        close(m.iteration_ns(&decode(100, 8_000)), 20.2064 + 4.9077e-4 * 8_000.0 + 12.0003);
        let m = model("a100-opt66b-tp4");
        close(m.iteration_ns(&prompt(1_000)), 29.4416 + 151.352 + 8.3175);
        close(m.iteration_ns(&decode(10, 8_000)), 30.7603 + 4.5195e-4 * 8_000.0 + 0.63284);
        close(m.iteration_ns(&decode(100, 8_000)), 27.4708 + 4.0468e-4 * 8_000.0 + 12.4807);
        assert_eq!(m.kv_blocks * 16, 78_496);
    }

    #[test]
    fn measured_models_go_through_their_points_and_straight_between_them() {
        let prompts = [512, 1_024, 2_048, 4_096, 8_192];
        let decodes = [1, 16, 32, 64];
        for (id, prefill, decoding) in [
            ("h100-llama2-70b-tp8", [53.9, 77.9, 136.8, 390.3, 844.9], [30.6, 34.2, 38.6, 50.2]),
            ("a100-llama2-70b-tp8", [93.0, 154.5, 274.2, 661.2, 1_549.8], [45.0, 50.4, 53.0, 71.6]),
        ] {
            let m = model(id);
            for (tokens, ms) in prompts.into_iter().zip(prefill) {
                close(m.iteration_ns(&prompt(tokens)), ms);
            }
            for (requests, ms) in decodes.into_iter().zip(decoding) {
                close(m.iteration_ns(&decode(requests, 512 * requests)), ms);
            }
            close(m.iteration_ns(&prompt(1_536)), f64::midpoint(prefill[1], prefill[2]));
            close(m.iteration_ns(&decode(48, 0)), f64::midpoint(decoding[2], decoding[3]));
            // Beyond the last point as between the last two, below the first as between the first two.
            close(m.iteration_ns(&prompt(12_288)), 2.0 * prefill[4] - prefill[3]);
            close(m.iteration_ns(&prompt(256)), 1.5 * prefill[0] - 0.5 * prefill[1]);
            let both = Load { decode_tokens: 24, ..prompt(1_000) };
            close(m.iteration_ns(&both), 1.1 * prefill[1]);
        }
        assert_eq!(model("h100-llama2-70b-tp8").swap_ns(1_000), 1_638_400);
    }

    #[test]
    fn every_model_that_is_named_is_there() {
        let ids: Vec<_> = MODELS.iter().map(|model| model.id).collect();
        let named = [
            "llama3-8b",
            "a10g-llama7b",
            "a100-opt13b-tp1",
            "a100-opt13b-tp1-vllm",
            "a100-opt66b-tp4",
            "h100-llama2-70b-tp8",
            "a100-llama2-70b-tp8",
        ];
        assert_eq!(ids, named);
    }

    #[test]
    fn an_empty_iteration_takes_no_time_and_ids_are_unique() {
        for (index, m) in MODELS.iter().enumerate() {
            assert_eq!(m.iteration_ns(&Load::default()), 0, "{}", m.id);
            assert!(MODELS[..index].iter().all(|other| other.id != m.id), "{} is named twice", m.id);
        }
        assert!(ServiceModel::by_id("gpt-5").is_none());
    }

    #[test]
    fn swapping_a_token_takes_what_its_bytes_take() {
        // 21 and 5.2 microseconds per token, as papers.md derives.
        assert_eq!(model("a10g-llama7b").swap_ns(1_000), 20_971_520);
        assert_eq!(model("llama3-8b").swap_ns(1_000), 5_242_880);
    }
}

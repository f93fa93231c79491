//! The published statistics from which the built-in workload is generated: lengths and arrivals of three public
//! traces, as quantiles and counts, no rows of them.
//!
//! Computed from the slices that `docs/TRACES.md` describes. Azure LLM inference trace 2023 (Patel et al.,
//! Splitwise, ISCA 2024; CC-BY-4.0): conversation and code. Vidur (MIT): arXiv summarisation.

/// How many values describe one distribution.
pub(super) const POINTS: usize = 26;

/// Where the quantiles of lengths stand, in thousandths: even steps, closer towards the ends, because few
/// requests carry many of the tokens.
pub(super) const LENGTH_GRID: [u16; POINTS] = [
    0, 10, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 650, 700, 750, 800, 850, 900, 950, 980,
    990, 995, 999, 1_000,
];

/// The values of a distribution at the points of its grid.
pub(super) type Lengths = [u32; POINTS];

/// One trace in numbers.
pub(super) struct Published {
    /// What it is called in messages and in the keys of its labels.
    pub(super) name: &'static str,
    /// Rows of the slice.
    pub(super) rows: u32,
    /// Prompt tokens.
    pub(super) prompts: Lengths,
    /// Output tokens of equal classes of requests, those with the shortest prompts first: where output and
    /// prompt hang together, one class would not show it.
    pub(super) outputs: &'static [Lengths],
    /// The most tokens that a prompt and its output have together.
    pub(super) longest: u32,
}

/// Azure 2023, conversation: prompts of a few fixed sizes, outputs that depend on which.
pub(super) const CONVERSATION: Published = Published {
    name: "conversation",
    rows: 9_754,
    prompts: [
        2, 40, 181, 299, 379, 390, 398, 407, 431, 967, 1_011, 1_035, 1_056, 1_081, 1_105, 1_140, 1_201,
        1_317, 2_185, 4_075, 4_086, 4_098, 4_122, 4_146, 5_244, 14_050,
    ],
    outputs: &[
        [
            7, 12, 16, 18, 52, 60, 65, 70, 75, 81, 86, 92, 103, 122, 144, 161, 166, 179, 187, 208, 217, 221,
            246, 285, 436, 1_000,
        ],
        [
            10, 40, 65, 78, 83, 86, 88, 90, 92, 94, 96, 98, 101, 103, 106, 110, 116, 126, 138, 161, 403, 429,
            454, 548, 649, 739,
        ],
        [
            29, 51, 372, 377, 385, 390, 394, 395, 396, 397, 400, 403, 409, 412, 415, 420, 427, 430, 444, 476,
            550, 608, 649, 669, 956, 958,
        ],
        [
            26, 46, 95, 156, 198, 366, 378, 386, 393, 396, 397, 400, 405, 410, 414, 418, 424, 429, 442, 491,
            568, 630, 666, 880, 1_000, 1_000,
        ],
        [
            15, 27, 31, 36, 40, 43, 46, 49, 52, 56, 59, 64, 69, 75, 81, 87, 95, 106, 120, 144, 180, 239, 375,
            482, 755, 918,
        ],
    ],
    longest: 14_089,
};

/// Azure 2023, code: long prompts, short outputs that do not depend on them.
pub(super) const CODE: Published = Published {
    name: "code",
    rows: 5_100,
    prompts: [
        6, 22, 76, 156, 247, 398, 595, 778, 941, 1_086, 1_252, 1_473, 1_694, 1_896, 2_159, 2_430, 2_748,
        3_227, 4_023, 5_051, 7_294, 7_436, 7_436, 7_436, 7_437, 7_437,
    ],
    outputs: &[[
        6, 6, 6, 7, 7, 8, 9, 9, 10, 11, 12, 13, 14, 15, 17, 19, 23, 28, 37, 54, 85, 157, 232, 319, 841, 1_899,
    ]],
    longest: 7_841,
};

/// Vidur, arXiv summarisation: prompt and output fill at most 4,096 tokens together.
pub(super) const SUMMARISATION: Published = Published {
    name: "summarisation",
    rows: 14_128,
    prompts: [
        1, 67, 715, 1_221, 1_540, 1_776, 1_967, 2_140, 2_298, 2_447, 2_589, 2_717, 2_850, 2_987, 3_118,
        3_246, 3_370, 3_490, 3_597, 3_706, 3_817, 3_894, 3_933, 3_962, 4_006, 4_046,
    ],
    outputs: &[
        [
            10, 37, 67, 91, 112, 122, 143, 162, 181, 206, 236, 290, 454, 1_221, 1_820, 2_291, 2_606, 2_824,
            3_036, 3_289, 3_581, 3_789, 3_872, 3_964, 4_015, 4_056,
        ],
        [
            18, 35, 55, 72, 83, 95, 106, 116, 126, 136, 147, 158, 170, 184, 198, 216, 238, 264, 292, 336,
            475, 931, 1_901, 2_400, 2_619, 2_676,
        ],
        [
            5, 31, 50, 73, 85, 94, 105, 114, 124, 134, 142, 153, 165, 176, 189, 202, 223, 248, 283, 338, 420,
            696, 1_004, 1_473, 1_837, 1_872,
        ],
        [
            11, 36, 59, 73, 87, 99, 109, 116, 126, 136, 148, 160, 172, 183, 194, 207, 226, 243, 273, 317,
            427, 670, 878, 968, 1_619, 1_711,
        ],
        [
            23, 40, 65, 78, 90, 102, 112, 122, 131, 143, 153, 163, 174, 186, 200, 217, 235, 259, 287, 324,
            399, 648, 839, 993, 1_310, 1_558,
        ],
        [
            17, 35, 62, 79, 92, 105, 116, 125, 137, 147, 156, 166, 176, 188, 202, 213, 228, 247, 269, 313,
            388, 555, 674, 798, 1_200, 1_324,
        ],
        [
            16, 39, 62, 83, 95, 107, 116, 128, 138, 148, 159, 169, 178, 191, 202, 214, 237, 261, 287, 343,
            420, 550, 664, 809, 956, 1_022,
        ],
        [
            12, 38, 62, 82, 99, 110, 122, 131, 141, 153, 161, 173, 186, 200, 212, 230, 250, 272, 302, 338,
            405, 483, 522, 572, 738, 827,
        ],
        [
            21, 37, 68, 89, 101, 113, 124, 135, 144, 154, 164, 174, 186, 199, 211, 225, 241, 260, 286, 317,
            372, 420, 453, 467, 513, 531,
        ],
        [
            12, 38, 58, 74, 88, 98, 107, 115, 122, 130, 136, 145, 153, 162, 170, 181, 191, 200, 214, 235,
            266, 296, 315, 333, 358, 384,
        ],
    ],
    longest: 4_096,
};

/// From the first to the last conversation request, milliseconds.
pub(super) const CONVERSATION_SPAN_MS: u64 = 1_753_257;

/// Conversation requests in each tenth of that span: the rate rises. Inside a tenth they come close to Poisson
/// (coefficient of variation of the gaps 1.07).
pub(super) const CONVERSATION_TENTHS: [u32; 10] = [752, 925, 816, 878, 937, 846, 974, 1_113, 1_152, 1_361];

/// From the first conversation request to the first code request, milliseconds.
pub(super) const CODE_STARTS_AFTER_MS: u64 = 77_299;

/// From the first to the last code request, milliseconds.
pub(super) const CODE_SPAN_MS: u64 = 1_645_853;

/// How many values describe the gaps between code requests.
pub(super) const GAP_POINTS: usize = 24;

/// Where the quantiles of the gaps stand, in ten-thousandths: closest near the end, because a few long silences
/// make up most of the time.
pub(super) const GAP_GRID: [u16; GAP_POINTS] = [
    0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000, 9_500, 9_800, 9_900, 9_930, 9_950,
    9_960, 9_970, 9_980, 9_985, 9_990, 9_994, 9_996, 9_998, 10_000,
];

/// Gaps between code requests, microseconds: bursts of ten a second, silences of minutes.
pub(super) const CODE_GAPS_US: [u32; GAP_POINTS] = [
    6,
    214,
    1_227,
    3_446,
    14_228,
    54_430,
    92_792,
    99_381,
    139_180,
    241_774,
    389_092,
    698_626,
    1_900_146,
    3_039_411,
    7_013_835,
    8_406_083,
    23_069_524,
    29_713_666,
    36_420_682,
    65_502_409,
    87_294_491,
    138_720_782,
    143_734_274,
    173_521_702,
];

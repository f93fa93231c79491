//! What tiers are guaranteed, as text: by the names of dimensions, and of pools that have something of their own.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::{ByName, Reader, set};
use crate::config::{Config, PoolReserve, TierConfig};
use crate::id::PoolId;
use crate::resources::MAX_DIMENSIONS;
use crate::share::{Ppm, Reserve};

/// What a tier is guaranteed of one pool.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolReserveText {
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve_ppm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve_ppm_in: Option<ByName<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve_units: Option<ByName<u64>>,
}

/// Shares and units by the names of the dimensions that have some of their own.
type InDimensions = (Option<ByName<u32>>, Option<ByName<u64>>);

pub(super) fn in_dimensions(config: &Config, reserves: &[Option<Reserve>; MAX_DIMENSIONS]) -> InDimensions {
    let (mut shares, mut units) = (BTreeMap::new(), BTreeMap::new());
    for (name, reserve) in config.dimensions().zip(reserves) {
        match *reserve {
            Some(Reserve::Share(share)) => drop(shares.insert(name.to_string(), share.get())),
            Some(Reserve::Units(number)) => drop(units.insert(name.to_string(), number)),
            None => {}
        }
    }
    (
        Some(shares).filter(|shares| !shares.is_empty()).map(ByName),
        Some(units).filter(|units| !units.is_empty()).map(ByName),
    )
}

pub(super) fn in_pools(tier: &TierConfig, config: &Config) -> Option<ByName<PoolReserveText>> {
    let text = |&(pool, PoolReserve { share, dimensions }): &(PoolId, PoolReserve)| {
        let (reserve_ppm_in, reserve_units) = in_dimensions(config, &dimensions);
        let text = PoolReserveText { reserve_ppm: share.map(Ppm::get), reserve_ppm_in, reserve_units };
        (config.pools[pool.index()].to_string(), text)
    };
    let pools = &tier.reserve_in_pools;
    (!pools.is_empty()).then(|| ByName(pools.iter().map(text).collect()))
}

impl Reader<'_> {
    /// What dimensions have of their own, in `place`: empty, or of a pool.
    pub(super) fn reserves(
        &mut self,
        mut tier: TierConfig,
        place: &str,
        (shares, units): InDimensions,
        dimensions: &[String],
        setter: impl Fn(TierConfig, usize, Reserve) -> TierConfig,
    ) -> TierConfig {
        let mut known = [false; MAX_DIMENSIONS];
        let shares = shares.into_iter().flat_map(|shares| shares.0);
        let shares = shares.map(|(name, ppm)| ("reserve_ppm_in", name, Reserve::Share(Ppm::new(ppm))));
        let units = units.into_iter().flat_map(|units| units.0);
        let units = units.map(|(name, units)| ("reserve_units", name, Reserve::Units(units)));
        for (field, name, reserve) in shares.chain(units) {
            let field = format!("{place}{field}.{name}");
            match dimensions.iter().take(MAX_DIMENSIONS).position(|dimension| *dimension == name) {
                None => self.fault(&field, "there is no such dimension".to_string()),
                Some(index) if known[index] => {
                    self.fault(&field, "has a share of its own already".to_string());
                }
                Some(index) => {
                    known[index] = true;
                    tier = setter(tier, index, reserve);
                }
            }
        }
        tier
    }

    /// What pools have of their own.
    pub(super) fn pool_reserves(
        &mut self,
        mut tier: TierConfig,
        texts: Option<ByName<PoolReserveText>>,
        pools: &[String],
        dimensions: &[String],
    ) -> TierConfig {
        for (name, text) in texts.into_iter().flat_map(|texts| texts.0) {
            let Some(index) = pools.iter().position(|pool| *pool == name) else {
                self.fault(&format!("pools.{name}"), "there is no such pool".to_string());
                continue;
            };
            let pool = PoolId::new(index as u32);
            tier = set(tier, text.reserve_ppm, |tier, ppm| tier.reserve_ppm_in_pool(pool, ppm));
            let own = (text.reserve_ppm_in, text.reserve_units);
            tier = self.reserves(tier, &format!("pools.{name}."), own, dimensions, |tier, index, reserve| {
                tier.reserve_in_pool(pool, index, reserve)
            });
        }
        tier
    }
}

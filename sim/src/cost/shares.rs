//! Who pays for what: by the worker time that requests take of an otherwise full worker.

use crate::machine::Machine;
use crate::replay::Service;
use crate::trace::{Work, Workload};

/// What each tier and tenant brings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shares {
    /// By tier: tokens in and out.
    pub(super) tokens_of_tier: Vec<f64>,
    /// By tenant.
    pub(super) tokens_of_tenant: Vec<f64>,
    /// By tier, then tenant: worker time.
    work: Vec<Vec<f64>>,
}

impl Shares {
    pub(super) fn of(workload: &Workload, machine: Machine) -> Self {
        let tiers = workload.requests.iter().map(|request| usize::from(request.tier) + 1).max().unwrap_or(1);
        let tenants = workload.tenants.len();
        let mut shares = Self {
            tokens_of_tier: vec![0.0; tiers],
            tokens_of_tenant: vec![0.0; tenants],
            work: vec![vec![0.0; tenants]; tiers],
        };
        for request in &workload.requests {
            let (tier, tenant) = (usize::from(request.tier), request.tenant as usize);
            if let Work::Tokens { prompt, output } = request.work {
                let tokens = f64::from(prompt) + f64::from(output);
                shares.tokens_of_tier[tier] += tokens;
                shares.tokens_of_tenant[tenant] += tokens;
            }
            shares.work[tier][tenant] += machine.cost(request.work) as f64;
        }
        shares
    }

    /// Of requests that completed, by tier, then tenant.
    pub(super) fn of_service(service: &[Vec<Service>]) -> Self {
        let tenants = service.first().map_or(0, Vec::len);
        let tokens = |of: &Service| (of.prompt_tokens + of.output_tokens) as f64;
        let of_tenant = |tenant: usize| service.iter().map(|tier| tokens(&tier[tenant])).sum();
        Self {
            tokens_of_tier: service.iter().map(|tier| tier.iter().map(tokens).sum()).collect(),
            tokens_of_tenant: (0..tenants).map(of_tenant).collect(),
            work: service.iter().map(|tier| tier.iter().map(|of| of.work_ns as f64).collect()).collect(),
        }
    }

    /// Pots of money, each for one tier or for all, over tiers and over tenants.
    pub(super) fn share_out(&self, pots: &[(f64, Option<usize>)]) -> (Vec<f64>, Vec<f64>) {
        let mut by_tier = vec![0.0; self.tokens_of_tier.len()];
        let mut by_tenant = vec![0.0; self.tokens_of_tenant.len()];
        for &(money, of) in pots {
            let pays = |tier: usize| of.is_none_or(|of| of == tier);
            let all: f64 =
                self.work.iter().enumerate().filter(|(tier, _)| pays(*tier)).flat_map(|(_, work)| work).sum();
            for (tier, work) in self.work.iter().enumerate().filter(|(tier, _)| pays(*tier)) {
                for (tenant, work) in work.iter().enumerate().filter(|(_, work)| **work > 0.0) {
                    by_tier[tier] += money * work / all;
                    by_tenant[tenant] += money * work / all;
                }
            }
        }
        (by_tier, by_tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MODELS;
    use crate::trace::TraceRequest;

    #[test]
    fn all_the_money_is_paid_by_those_who_pay() {
        let request = |tier, tenant, output| TraceRequest {
            arrival_ns: 0,
            tier,
            tenant,
            work: Work::Tokens { prompt: 100, output },
        };
        let workload = Workload {
            requests: vec![request(0, 0, 100), request(0, 1, 100), request(1, 1, 500)],
            tenants: vec!["a".into(), "b".into(), "silent".into()],
            sources: Vec::new(),
        };
        let shares = Shares::of(&workload, Machine::of(&MODELS[0]));
        let (by_tier, by_tenant) = shares.share_out(&[(30.0, Some(0)), (50.0, Some(1))]);
        assert_eq!(by_tier, [30.0, 50.0]);
        assert_eq!(by_tenant, [15.0, 65.0, 0.0]);
        let (by_tier, by_tenant) = shares.share_out(&[(80.0, None)]);
        assert!((by_tier.iter().sum::<f64>() - 80.0).abs() < 1e-9);
        assert!((by_tenant.iter().sum::<f64>() - 80.0).abs() < 1e-9);
        assert!(by_tier[1] > by_tier[0], "five times the output");
    }
}

use tidegate_sim::lockstep::scenarios::*;
use tidegate_sim::lockstep::stock::*;
use tidegate_sim::lockstep::hosted::*;
#[test]
fn show() {
    for o in [StockOrder::Fcfs, StockOrder::Priority] {
        println!("A {:?}", slots_full(stock(o)));
        println!("B {:?}", blocks_short(stock(o)));
        println!("F {:?}", long_prompt(stock(o)));
        println!("C {:?}", too_few_blocks(stock(o)));
        println!("E {:?} {:?}", blocked_waiters(stock(o),10), blocked_waiters(stock(o),10_000));
    }
        println!("A {:?}", slots_full(hosted));
        println!("B {:?}", blocks_short(hosted));
        println!("F {:?}", long_prompt(hosted));
        println!("C {:?}", too_few_blocks(hosted));
        let h = |s| hosted(s).without_larger_worker(s);
        println!("E {:?} {:?}", blocked_waiters(h,10), blocked_waiters(h,10_000));
}

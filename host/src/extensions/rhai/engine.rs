//! The interpreter, configured once: a raw engine with chosen packages, every limit set, no way to load or make code.

use rhai::module_resolvers::DummyModuleResolver;
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LanguageCorePackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{Engine, OptimizationLevel};

use super::{bytes, call, helpers, lists, text, views};
use crate::extensions::limits::ScriptLimits;
use crate::extensions::record::LogLevel;

pub(super) const MOST_VARIABLES: usize = 256;
const MOST_FUNCTIONS: usize = 128;
const EXPRESSION_DEPTH: usize = 48;
const EXPRESSION_DEPTH_IN_FUNCTION: usize = 32;

/// An engine with these limits. It takes half a millisecond to make, so there is one.
#[expect(clippy::disallowed_methods, reason = "this is the door: the limits are set below")]
pub(super) fn build(limits: &ScriptLimits) -> Engine {
    let mut engine = Engine::new_raw();
    LanguageCorePackage::new().register_into_engine(&mut engine);
    ArithmeticPackage::new().register_into_engine(&mut engine);
    LogicPackage::new().register_into_engine(&mut engine);
    BasicMathPackage::new().register_into_engine(&mut engine);
    BasicStringPackage::new().register_into_engine(&mut engine);
    MoreStringPackage::new().register_into_engine(&mut engine);
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    BasicFnPackage::new().register_into_engine(&mut engine);
    engine
        // Operations are counted by the call, see `call::progress`.
        .set_max_call_levels(limits.call_depth)
        .set_max_expr_depths(EXPRESSION_DEPTH, EXPRESSION_DEPTH_IN_FUNCTION)
        .set_max_string_size(limits.string_bytes)
        .set_max_array_size(limits.array_items)
        .set_max_map_size(limits.map_entries)
        .set_max_variables(MOST_VARIABLES)
        .set_max_functions(MOST_FUNCTIONS)
        .set_max_modules(0)
        // What is folded while a script compiles is bounded by none of this: constants made of constants fill a machine.
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        .disable_symbol("eval")
        .disable_symbol("import")
        // A function pointer with values bound to it nests where no limit sees it. Closures that capture are left out of
        // the interpreter for the same reason (its feature `no_closure`): they share what they capture under a lock.
        .disable_symbol("curry")
        .set_module_resolver(DummyModuleResolver::new());
    engine.on_progress(call::progress);
    engine.on_print(|message| call::log(LogLevel::Info, message));
    engine.on_debug(|message, _, _| call::log(LogLevel::Debug, message));
    text::register(&mut engine, limits);
    bytes::register(&mut engine, limits.string_bytes);
    helpers::register(&mut engine);
    lists::register(&mut engine);
    views::register(&mut engine);
    engine
}

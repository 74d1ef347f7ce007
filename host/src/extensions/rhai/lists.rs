//! Helpers on lists that take the interpreter's place: its own `sort` and `dedup` swallow what the function that compares throws,
//! and a limit that it runs into.

use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, NativeCallContext};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    for name in ["sort", "sort_by"] {
        engine.register_fn(name, |ctx: NativeCallContext<'_>, list: &mut Array, comparer: FnPtr| -> Fallible<()> {
            // A list stays as it was where its function fails.
            *list = sorted(&ctx, list.clone(), &comparer)?;
            Ok(())
        });
    }
    for name in ["order", "order_by"] {
        engine.register_fn(name, |ctx: NativeCallContext<'_>, list: &mut Array, comparer: FnPtr| -> Fallible<Array> {
            sorted(&ctx, list.clone(), &comparer)
        });
    }
    engine.register_fn("dedup", |ctx: NativeCallContext<'_>, list: &mut Array, comparer: FnPtr| -> Fallible<()> {
        let mut kept = Array::with_capacity(list.len());
        for item in list.iter() {
            let is_same = match kept.last() {
                Some(last) => ask(&ctx, &comparer, last, item)?.as_bool().map_err(|kind| no_answer("dedup", kind))?,
                None => false,
            };
            if !is_same {
                kept.push(item.clone());
            }
        }
        *list = kept;
        Ok(())
    });
}

/// Merged from halves, so that an order that contradicts itself is some order; equal ones stay as they stand.
fn sorted(ctx: &NativeCallContext<'_>, mut list: Array, comparer: &FnPtr) -> Fallible<Array> {
    if list.len() <= 1 {
        return Ok(list);
    }
    let second = list.split_off(list.len() / 2);
    let mut first = sorted(ctx, list, comparer)?.into_iter().peekable();
    let mut second = sorted(ctx, second, comparer)?.into_iter().peekable();
    let mut merged = Array::with_capacity(first.len() + second.len());
    while let (Some(one), Some(other)) = (first.peek(), second.peek()) {
        let takes_other = is_behind(ask(ctx, comparer, one, other)?)?;
        merged.extend(if takes_other { second.next() } else { first.next() });
    }
    merged.extend(first);
    merged.extend(second);
    Ok(merged)
}

fn ask(ctx: &NativeCallContext<'_>, comparer: &FnPtr, one: &Dynamic, other: &Dynamic) -> Fallible<Dynamic> {
    comparer.call_raw(ctx, None, [one.clone(), other.clone()])
}

/// Whether the first stands behind the second: a number over 0, or false.
fn is_behind(answer: Dynamic) -> Fallible<bool> {
    match answer.as_int() {
        Ok(number) => Ok(number > 0),
        Err(_) => Ok(!answer.as_bool().map_err(|kind| no_answer("sort", kind))?),
    }
}

fn no_answer(of: &str, kind: &str) -> Box<EvalAltResult> {
    let wanted =
        if of == "sort" { "a number below, at or over 0, or true where they stand right" } else { "true or false" };
    format!("the function that {of} asks gave {kind}; expected {wanted}").into()
}

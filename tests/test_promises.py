"""What einstan promises of texts, sizes, growth, values, arrays, processes, einsum; the tests that hold each one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "einstan"

TEXT = {
    "nothing that a user writes reaches eval, exec, getattr, sympify or an import": (
        "test_promises.test_only_our_own_source_is_executed",
        "test_hostile.test_short_texts",
    ),
    "generated source has names from counters and operators of a table; user names are escaped": (
        "test_hostile.test_a_name_is_only_a_name",
        "test_hostile.test_a_defined_name_and_an_index_are_only_names",
        "test_emit.test_names_come_from_counters_and_the_table",
        "test_emit.test_user_names_are_escaped",
    ),
    "LaTeX, HTML and SVG output is escaped": (
        "test_latex.test_only_closed_vocabulary_comes_out",
        "test_pictures.test_texts_are_escaped",
        "test_pictures.test_attributes_hold_no_names",
        "test_path_info.test_html_is_a_table_of_the_same_cells_escaped",
        "test_contraction_orders.test_what_is_shown_is_escaped",
    ),
    "any text parses or raises an EinstanError with a position and a short message": (
        "test_hostile.test_short_texts",
        "test_hostile.test_mutated_texts",
        "syntax.test_parser.test_any_text_parses_or_is_refused_with_a_place",
        "syntax.test_parser.test_any_characters",
    ),
    "in time linear in its length": ("test_hostile.test_floods", "test_hostile.test_a_megabyte_takes_linear_time"),
    "default limits, each settable": (
        "test_hostile.test_a_text_over_the_limits_is_refused_at_once",
        "test_hostile.test_limits_are_settable",
    ),
    "flat sums and products of 100,000 terms": (
        "syntax.test_parser.test_growth",
        "test_growth.test_flat_sums_and_products",
    ),
    "at most 400 digits, overflow is an error, 9^9^9 is not evaluated": (
        "syntax.test_lexer.test_errors",
        "test_hostile.test_powers_of_numbers_are_not_written_out",
        "test_hostile.test_numbers_at_the_edges_of_float64",
        "test_ir.test_numbers_past_400_digits_stay_unfolded",
    ),
    "NUL, zero-width, bidi characters are errors": ("test_hostile.test_what_can_not_be_seen_is_an_error",),
    "two names that are equal after NFKC are one": ("test_hostile.test_names_equal_in_normal_form_are_one",),
    "closed table of commands; 2 3 is an error; an unknown command is named": (
        "syntax.test_lexer.test_errors",
        "syntax.test_parser.test_errors",
        "syntax.test_latex_forms.test_refuses",
    ),
}

SIZES = {
    "all sizes are checked before any backend is called": ("test_growth.test_sizes_are_checked_before_anything_runs",),
    "a shared label never has two sizes; 1 does not stretch": (
        "test_growth.test_sizes_are_checked_before_anything_runs",
        "test_kernel.test_sizes_that_do_not_fit",
    ),
    "empty axes: sums are 0, products 1": (
        "test_growth.test_sums_over_nothing_are_0_and_products_1",
        "test_random_programs.test_random_program_with_empty_axes",
    ),
    "max, min, mean, softmax over nothing are errors": ("test_growth.test_extremes_and_means_over_nothing_are_errors",),
    "more than 52 labels, 63 operands, 1,000-operand chains": ("test_growth.test_chains_of_any_length",),
    "no intermediate of rank over 64 when another exists": (
        "test_growth.test_no_intermediate_has_more_axes_than_arrays_can_have",
    ),
    "the planned peak is compared with memory_limit before the first allocation": (
        "test_kernel.test_a_peak_over_the_limit_is_refused_before_anything_is_allocated",
        "test_orders_methods.test_a_limit_as_text_holds",
    ),
    "nothing starts that cannot end": (
        "test_order.test_a_thousand_operands_in_seconds",
        "test_order.test_many_labels_on_a_hub_end",
    ),
}

GROWTH = {
    "no recursion on depth": (
        "test_growth.test_no_stage_recurs_on_the_depth_of_names",
        "test_growth.test_no_stage_recurs_on_the_depth_of_brackets",
        "test_ir.test_depth_is_bounded_by_memory_alone",
    ),
    "f = sin(f) cos(f) two hundred times: linear, Hessian too": (
        "test_growth.test_derivatives_of_shared_formulas_grow_linearly",
        "test_growth.test_printed_derivatives_of_shared_formulas_grow_linearly",
        "test_growth.test_two_hundred_shared_levels_are_right",
    ),
    "no law expands, except over terms with different deltas": (
        "test_rules.test_distribution_only_over_different_deltas",
        "test_rules.test_shared_products_are_not_flattened",
    ),
    "same text, same object, same source, in every process": (
        "test_processes.test_every_process_says_the_same",
        "test_ir.test_digests_do_not_depend_on_the_process",
    ),
    "normal form independent of order, names, schedule": (
        "test_ir.test_operand_order_and_label_names_do_not_matter",
        "test_ir.test_interning_from_many_threads_gives_one_object",
        "test_claims.test_shuffled_statements_give_the_same_objects",
        "test_program.test_the_order_of_operands_leaves_no_trace",
    ),
}

VALUES = {
    "data is data": ("test_values.test_data_is_data",),
    "like terms merge on construction, x/x is not 1": (
        "test_kinks.test_differences_and_zero_multiples_merge_when_built",
        "test_kinks.test_x_over_x_is_not_one",
    ),
    "strict=True uses only the laws that are exact": (
        "test_values.test_strict_gives_what_the_formula_as_written_gives",
        "test_values.test_laws_for_finite_values_are_left_out_of_strict",
    ),
    "result dtypes are fixed from the program as written": (
        "test_values.test_result_dtypes_are_fixed_from_the_program_as_written",
    ),
    "integer contractions stay exact; derivatives in integers are floats, in bool and complex refused": (
        "test_values.test_integer_contractions_stay_exact",
        "test_values.test_a_derivative_in_integers_is_a_float",
        "test_values.test_no_derivative_in_bool_or_complex_even_where_it_is_not_read",
        "test_values.test_complex_contractions_work",
    ),
    "extreme points, spelled out naively": (
        "test_extreme_points.test_of_one_number",
        "test_extreme_points.test_of_several_numbers",
    ),
    "kinks, ties, zeros, nan": (
        "test_kinks.test_of_one_number",
        "test_kinks.test_of_several_numbers",
        "test_kinks.test_third_derivative_of_a_product_with_zeros",
        "test_kinks.test_nan_stays_nan",
        "test_kinks.test_nothing_becomes_relu",
        "test_kinks.test_constant_exponents_never_go_through_log",
    ),
}

ARRAYS = {
    "every layout gives the result of a contiguous copy; np.matrix counts as an array": (
        "test_processes.test_any_layout_gives_what_a_contiguous_copy_gives",
        "test_processes.test_zero_strides",
    ),
    "inputs are never written; results share no memory": (
        "test_processes.test_inputs_are_not_written_and_results_are_nobody_elses",
        "test_kernel.test_results_share_no_memory_with_anything",
        "test_running.test_what_is_held_of_a_result_stays",
    ),
    "masked, sparse, object arrays are refused": (
        "test_processes.test_what_is_no_array_of_numbers_is_refused",
        "test_kernel.test_sparse_arrays_are_refused",
    ),
    "k.into may overlap operands": ("test_kernel.test_into_may_overlap_the_inputs",),
    "shapes and dtypes are guarded on every call; other sizes replan": (
        "test_kernel.test_sizes_that_do_not_fit",
        "test_kernel.test_other_sizes_and_dtypes_replan",
    ),
    "kernels are immutable and may be called from many threads": (
        "test_kernel.test_kernels_can_not_be_changed",
        "test_processes.test_many_threads_get_the_same_bits",
        "test_processes.test_programs_are_read_and_derived_in_threads",
    ),
    "programs and kernels pickle by value, without code objects": (
        "test_processes.test_pickles_of_another_process_are_the_same_objects",
        "test_processes.test_pickles_hold_no_code",
    ),
    "an interrupt, a MemoryError or a backend's exception leaves everything usable": (
        "test_processes.test_a_failure_at_any_step_leaves_the_kernel_usable",
        "test_processes.test_a_failure_while_a_plan_is_made_leaves_everything_usable",
    ),
    "warnings of numpy are not scattered; check_finite reports": (
        "test_kernel.test_no_warnings_are_scattered_and_the_error_state_stays",
        "test_kernel.test_check_finite_names_the_result",
    ),
    "bit-equal results for one plan and thread count": ("test_kernel.test_results_are_bit_equal",),
}

EINSUM = {
    "es.einsum checks all sizes before any backend is called": (
        "test_subscripts.test_errors_say_what_and_where",
        "test_einsum.test_a_diagonal_of_two_sizes_is_refused",
    ),
    "es.einsum broadcasts size 1 as numpy does, but not on a diagonal": (
        "test_einsum.test_axes_of_size_one_broadcast",
        "test_einsum.test_a_diagonal_of_two_sizes_is_refused",
    ),
    "einsum: empty sums are 0": ("test_einsum.test_empty_axes",),
    "einsum: more than 52 labels, 63 operands, 1,000-operand chains": (
        "test_einsum.test_labels_and_operands_without_limit",
    ),
    "einsum: no intermediate of rank over 64 when another exists": (
        "test_einsum.test_no_intermediate_has_more_axes_than_arrays_can_have",
    ),
    "einsum: the planned peak is compared with what is available before the first allocation": (
        "test_einsum.test_memory_is_asked_for_before_it_is_taken",
    ),
    "einsum: nothing starts that cannot end": ("test_einsum.test_the_search_for_the_best_path_ends",),
    "dtypes as numpy in es.einsum; float16 and bfloat16 accumulate in float32": (
        "test_einsum.test_dtypes_stay",
        "test_einsum.test_half_precision_is_summed_in_single",
        "test_einsum.test_bfloat16_is_summed_in_single",
    ),
    "integer contractions stay exact integers": ("test_einsum.test_integers_wrap_as_in_numpy",),
    "einsum: every layout gives the result of a contiguous copy; inputs are never written": (
        "test_einsum.test_any_layout_gives_what_a_contiguous_copy_gives",
        "test_einsum.test_zero_strides",
    ),
    "einsum: results share no memory, but for views of one operand": (
        "test_einsum.test_results_share_no_memory",
        "test_einsum.test_transposes_and_diagonals_are_views",
    ),
    "out= of einsum may overlap operands": ("test_einsum.test_out_may_overlap_the_operands",),
    "einsum: an interrupt or a MemoryError leaves everything usable": (
        "test_einsum.test_a_failure_leaves_everything_usable",
    ),
    "einsum: warnings of numpy are not scattered": ("test_einsum.test_no_warnings_and_the_error_state_stays",),
    "einsum: bit-equal results, from many threads": ("test_einsum.test_results_are_bit_equal_in_threads",),
}

CONTRACT = {
    "contract: arrays of other libraries are never moved to numpy unasked": (
        "test_contract.test_arrays_of_other_libraries_are_refused_and_their_paths_are_found",
        "test_contract.test_arrays_with_numpys_functions_of_their_own_are_refused",
    ),
    "contract: a memory limit holds": (
        "test_contract.test_a_limit_of_memory_holds_where_it_takes_a_loop",
        "test_contract.test_no_intermediate_is_over_the_limit",
    ),
    "contract: what an expression gives is fresh; it may be called from many threads": (
        "test_contract.test_what_an_expression_gives_can_be_written",
        "test_contract.test_an_expression_runs_in_many_threads",
    ),
    "a search of another library that does not end is ended": (
        "test_orders_methods.test_a_search_that_does_not_end_is_ended",
        "test_orders_methods.test_an_interrupt_ends_the_search_too",
    ),
}

PROMISES = {**TEXT, **SIZES, **GROWTH, **VALUES, **ARRAYS, **EINSUM, **CONTRACT}


def functions(module: str) -> set[str]:
    path = HERE.joinpath(*module.split(".")).with_suffix(".py")
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("promise", PROMISES)
def test_the_tests_of_a_promise_exist(promise: str) -> None:
    for test in PROMISES[promise]:
        module, _, name = test.rpartition(".")
        assert name in functions(module), f"{module} has no {name}"


RUNS_TEXT = frozenset("eval exec compile __import__ import_module sympify parse_expr lambdify loads".split())
# our own source; JSON
ALLOWED = {("emit.py", "exec"), ("emit.py", "compile"), ("straight.py", "eval"), ("files.py", "loads")}
ALLOWED |= {("measuring.py", "exec"), ("kept.py", "loads")}


def test_only_our_own_source_is_executed() -> None:
    """No call of anything that runs a text but in emit, straight; getattr: a literal or a name from a literal table."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                free = isinstance(node.func, ast.Name) or called in RUNS_TEXT - {"compile"}
                if called in RUNS_TEXT and free:
                    found.add((path.name, called))
                if called == "getattr" and not is_literal(node.args[1], path):
                    found.add((path.name, ast.unparse(node)))
    assert found <= ALLOWED


def is_literal(e: ast.expr, path: Path) -> bool:
    """A text written there, or the loop variable of a table beside it, in modules that users' words do not reach."""
    return isinstance(e, ast.Constant) or path.name in ("numpy.py", "testing.py", "cli.py", "drafts.py")

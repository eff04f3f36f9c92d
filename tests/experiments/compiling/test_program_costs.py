"""Costs of a program that can be counted by hand."""

import pytest

from senformer.experiments.compiling.program_costs import constant_bytes, count_costs

PROGRAM = """HloModule step, is_scheduled=true

%add_scale (p0: f32[8,4], p1: f32[]) -> f32[8,4] {
  %p0 = f32[8,4]{1,0} parameter(0)
  %p1 = f32[] parameter(1)
  %wide = f32[8,4]{1,0} broadcast(%p1), dimensions={}
  ROOT %sum = f32[8,4]{1,0} add(%p0, %wide)
}

%take_row (rows: f32[100,4], at: s32[]) -> f32[1,4] {
  %rows = f32[100,4]{1,0} parameter(0)
  %at = s32[] parameter(1)
  ROOT %row = f32[1,4]{1,0} dynamic-slice(%rows, %at, %at), dynamic_slice_sizes={1,4}
}

%inner (state: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %state = (s32[], f32[8,4]{1,0}) parameter(0)
  %number = s32[] get-tuple-element(%state), index=0
  %x = f32[8,4]{1,0} get-tuple-element(%state), index=1
  %copy = f32[8,4]{1,0} copy(%x)
  ROOT %next = (s32[], f32[8,4]{1,0}) tuple(%number, %copy)
}

%outer (state: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %state = (s32[], f32[8,4]{1,0}) parameter(0)
  %turns = (s32[], f32[8,4]{1,0}) while(%state), condition=%ends, body=%inner, backend_config={"known_trip_count":{"n":"2"}}
  %number = s32[] get-tuple-element(%turns), index=0
  %x = f32[8,4]{1,0} get-tuple-element(%turns), index=1
  %one = f32[] constant(1)
  %more = f32[8,4]{1,0} fusion(%x, %one), kind=kLoop, calls=%add_scale
  ROOT %next = (s32[], f32[8,4]{1,0}) tuple(%number, %more)
}

ENTRY %main (a: f32[8,16], b: f32[16,4], filters: f32[3,5,1,15], rows: f32[100,4]) -> f32[8,4] {
  %a = f32[8,16]{1,0} parameter(0)
  %b = f32[16,4]{1,0} parameter(1)
  %filters = f32[3,5,1,15]{3,2,1,0} parameter(2)
  %rows = f32[100,4]{1,0} parameter(3)
  %table = f32[10,10]{1,0} constant({...})
  %image = f32[1,5,1,64]{3,2,1,0} constant({...})
  %product = (f32[8,4]{1,0}, s8[4096]{0}) custom-call(%a, %b), custom_call_target="__cublas$lt$matmul", backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"]}}}
  %y = f32[8,4]{1,0} get-tuple-element(%product), index=0
  %seen = (f32[1,3,1,64]{3,2,1,0}, u8[0]{0}) custom-call(%image, %filters), window={size=1x15 pad=0_0x7_7}, dim_labels=bf01_oi01->bf01, custom_call_target="__cudnn$convForward"
  %zero = s32[] constant(0)
  %row = f32[1,4]{1,0} fusion(%rows, %zero), kind=kLoop, calls=%take_row
  %start = (s32[], f32[8,4]{1,0}) tuple(%zero, %y)
  %end = (s32[], f32[8,4]{1,0}) while(%start), condition=%ends, body=%outer, backend_config={"known_trip_count":{"n":"3"}}
  ROOT %result = f32[8,4]{1,0} get-tuple-element(%end), index=1
}
"""  # noqa: E501

ARRAY = 8 * 4 * 4  # bytes of float32 [8, 4]


def test_kernels_are_counted_per_loop_turn():
    costs = count_costs(PROGRAM)
    assert costs.loop_turns == 3 + 3 * 2
    assert costs.kernels == 3 + 3 * 1 + 3 * 2 * 1  # product, convolution, row; fusion; copy


def test_operations_of_a_product_and_a_convolution():
    assert count_costs(PROGRAM).operations == 2 * (8 * 4 * 16) + 2 * (3 * 64 * 5 * 15)


def test_bytes_moved_count_only_slices_read():
    product = 4 * (8 * 16 + 16 * 4) + ARRAY
    convolution = 4 * (5 * 64 + 3 * 5 * 15 + 3 * 64)
    row = 4 * (4 + 1 + 4)  # one row of a hundred, its index, the result
    fusions = 3 * (ARRAY + 4 + ARRAY)
    copies = 3 * 2 * (ARRAY + ARRAY)
    assert count_costs(PROGRAM).bytes_moved == product + convolution + row + fusions + copies


def test_constant_bytes_sum_all_constants():
    assert constant_bytes(PROGRAM) == 4 * (10 * 10 + 5 * 64 + 1 + 1)


def test_count_costs_needs_an_entry_computation():
    with pytest.raises(ValueError, match="no entry computation"):
        count_costs("HloModule nothing")


CONVOLUTION = """ENTRY %main (input: f32[2,5,1,64], filter: f32[3,5,1,15], grad: f32[2,3,1,64]) -> f32[1] {{
  %input = f32[2,5,1,64]{{3,2,1,0}} parameter(0)
  %filter = f32[3,5,1,15]{{3,2,1,0}} parameter(1)
  %grad = f32[2,3,1,64]{{3,2,1,0}} parameter(2)
  %made = ({made}{{3,2,1,0}}, u8[0]{{0}}) custom-call({taken}), window={{size=1x15 pad=0_0x7_7}}, dim_labels=bf01_oi01->bf01, custom_call_target="__cudnn${called}"
}}
"""  # noqa: E501


@pytest.mark.parametrize(
    ("called", "taken", "made"),
    [
        ("convForward", "%input, %filter", "f32[2,3,1,64]"),
        ("convBackwardInput", "%grad, %filter", "f32[2,5,1,64]"),
        ("convBackwardFilter", "%input, %grad", "f32[3,5,1,15]"),
    ],
)
def test_convolution_gradients_count_as_the_forward(called, taken, made):
    text = CONVOLUTION.format(called=called, taken=taken, made=made)
    assert count_costs(text).operations == 2 * (2 * 64) * (3 * 5 * 15)

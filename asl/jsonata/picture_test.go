package jsonata

import "testing"

// TestPictures has what jsonata 2.0.6 under Node gives for pictures that are
// unusual, or wrong.
func TestPictures(t *testing.T) {
	const exponent = `!D3093: The exponent part of the sub-picture must comprise only of one or more characters that are members of the 'decimal digit family'`
	for src, want := range map[string]string{
		`$formatNumber(1234, "0e")`:                              exponent,
		`$formatNumber(1234, "0.0e")`:                            exponent,
		`$formatNumber(7, "a#0.0e0")`:                            exponent,
		`$formatNumber(1234, "e0e.0")`:                           `"e1e3"`,
		`$formatNumber(8, "0e0%")`:                               `!D3092: A sub-picture that contains a 'percent' or 'per-mille' character must not contain a character treated as an 'exponent-separator'`,
		`$formatNumber(56.25, "0,00,0.0,0")`:                     `"0,05,6.2,,5"`,
		`$formatNumber(2e21, "#,0,0")`:                           `"2,e,+,2,1"`,
		`$formatNumber(-98765.4321, "#,##0.00#;(#,##0.0#)")`:     `"(98,765.43)"`,
		`$formatNumber(-1234, "#,###,##0", {"zero-digit": "٠"})`: `"-١٢٣,٤,0"`,
		`$formatInteger(31, "##,##,##0")`:                        `",,31"`,
		`$formatInteger(4, "#,#:0")`:                             `",:4"`,
		`$formatInteger(26, "0,.###,#")`:                         `".,6"`,
		`$formatInteger(7654321, "#,##0;o")`:                     `"7,654,321st"`,
		`$formatInteger(1234, "#:##0")`:                          `"1:234"`,
		`$parseInteger("xc", "I")`:                               `"NaN"`,
		`$parseInteger("XC", "I")`:                               `90`,
		`$parseInteger("xC", "i")`:                               `90`,
		`$fromMillis(1e12, (), "east")`:                          `"0NaN-NaN-NaNTNaN:NaN:NaN.NaN0N:aN"`,
		`$fromMillis(0, "[D1o] [MNn] [P] [z0] [YI][Da]", "?")`:   `"NaNth undefined am GMTNaN:NaN "`,
		`$fromMillis(9e15, "[Y]-[Z]")`:                           `"NaN-+00:00"`,
		`$fromMillis(0, "[H01][Z01:01]", "-0530")`:               `"17-06:30"`,
	} {
		if got := run(t, src, Scope{}); got != want {
			t.Errorf("%s\n\tgot  %s\n\twant %s", src, got, want)
		}
	}
}

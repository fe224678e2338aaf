package jsonata

import (
	"math"
	"regexp"
	"strings"
)

var (
	smallWords    = []string{"Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve", "Thirteen", "Fourteen", "Fifteen", "Sixteen", "Seventeen", "Eighteen", "Nineteen"}
	smallOrdinals = []string{"Zeroth", "First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth", "Eleventh", "Twelfth", "Thirteenth", "Fourteenth", "Fifteenth", "Sixteenth", "Seventeenth", "Eighteenth", "Nineteenth"}
	tensWords     = []string{"Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety"}
	magnitudes    = []string{"Thousand", "Million", "Billion", "Trillion"}
)

// toWords writes a number in English.
func toWords(f float64, ordinal bool) string {
	if math.IsInf(f, 0) || math.IsNaN(f) || f >= 1e60 {
		return formatNumber(f)
	}
	return words(f, "", ordinal)
}

// words writes f behind what joins it to the words before: "" at the start, an
// "and" before what is less than a hundred, else a comma.
func words(f float64, join string, ordinal bool) string {
	and, comma := join, join
	if join != "" {
		and, comma = " and ", ", "
	}
	end := func(word string) string {
		if ordinal {
			return word + "th"
		}
		return word
	}
	switch {
	case f <= 19 && ordinal:
		return and + smallOrdinals[int(f)]
	case f <= 19:
		return and + smallWords[int(f)]
	case f < 100:
		tens, rest := tensWords[int(f)/10-2], math.Mod(f, 10)
		switch {
		case rest > 0:
			return and + tens + "-" + words(rest, "", ordinal)
		case ordinal:
			return and + strings.TrimSuffix(tens, "y") + "ieth"
		}
		return and + tens
	case f < 1000:
		rest := math.Mod(f, 100)
		out := comma + smallWords[int(f/100)] + " Hundred"
		if rest > 0 {
			return out + words(rest, " ", ordinal)
		}
		return end(out)
	}
	mag := min(int(math.Floor(math.Log10(f)/3)), len(magnitudes))
	factor := math.Pow(10, float64(3*mag))
	mant := math.Floor(f / factor)
	out := comma + words(mant, "", false) + " " + magnitudes[mag-1]
	if rest := f - mant*factor; rest > 0 {
		return out + words(rest, " ", ordinal)
	}
	return end(out)
}

// wordValues are the numbers that words stand for.
var wordValues = func() map[string]float64 {
	m := map[string]float64{"hundred": 100, "hundredth": 100}
	for i := range smallWords {
		m[strings.ToLower(smallWords[i])] = float64(i)
		m[strings.ToLower(smallOrdinals[i])] = float64(i)
	}
	for i, w := range tensWords {
		w = strings.ToLower(w)
		m[w], m[strings.TrimSuffix(w, "y")+"ieth"] = float64(10*(i+2)), float64(10*(i+2))
	}
	for i, w := range magnitudes {
		w = strings.ToLower(w)
		m[w], m[w+"th"] = math.Pow(1000, float64(i+1)), math.Pow(1000, float64(i+1))
	}
	return m
}()

var wordBreak = regexp.MustCompile(`,\s|\sand\s|[\s\\-]`)

// fromWords reads a number in English; NaN for other words.
func fromWords(s string) float64 {
	parts := []float64{0}
	for _, w := range wordBreak.Split(s, -1) {
		v, ok := wordValues[w]
		if !ok {
			return math.NaN()
		}
		last := &parts[len(parts)-1]
		switch {
		case v >= 100:
			*last *= v
		case *last >= 1000:
			parts = append(parts, v)
		default:
			*last += v
		}
	}
	var total float64
	for _, p := range parts {
		total += p
	}
	return total
}

// maxRoman bounds the numbers that are written in Roman numerals, whose length
// grows with them.
const maxRoman = 1_000_000

var romanNumerals = []struct {
	value int
	text  string
}{{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"}, {90, "xc"}, {50, "l"}, {40, "xl"}, {10, "x"}, {9, "ix"}, {5, "v"}, {4, "iv"}, {1, "i"}}

func toRoman(n int) string {
	var out strings.Builder
	for _, r := range romanNumerals {
		out.WriteString(strings.Repeat(r.text, n/r.value))
		n %= r.value
	}
	return out.String()
}

func fromRoman(s string) float64 {
	values := map[rune]float64{'M': 1000, 'D': 500, 'C': 100, 'L': 50, 'X': 10, 'V': 5, 'I': 1}
	total, most := 0.0, 1.0
	for i := len(s) - 1; i >= 0; i-- {
		v, ok := values[rune(s[i])]
		switch {
		case !ok:
			return math.NaN()
		case v < most:
			total -= v
		default:
			most = v
			total += v
		}
	}
	return total
}

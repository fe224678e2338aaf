package esregexp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// find gives the match and its groups, as JavaScript's exec does; "-" for a
// group that is undefined.
func find(t *testing.T, pattern, flags, s string) string {
	t.Helper()
	re, err := Compile(pattern, flags)
	if err != nil {
		return "!" + err.Error()
	}
	budget := 100_000
	places, err := re.Find(s, 0, &budget)
	if err != nil {
		return "!" + err.Error()
	}
	if places == nil {
		return "none"
	}
	var out []string
	for i := 0; i < len(places); i += 2 {
		if places[i] < 0 {
			out = append(out, "-")
		} else {
			out = append(out, s[places[i]:places[i+1]])
		}
	}
	return fmt.Sprintf("%d:%s", places[0], strings.Join(out, "|"))
}

// TestFind has what Node's regular expressions give.
func TestFind(t *testing.T) {
	for _, tt := range []struct{ pattern, flags, s, want string }{
		{`a|ab`, "", "ab", "0:a"},
		{`((a)|(ab))((c)|(bc))`, "", "abc", "0:abc|a|a|-|bc|-|bc"},
		{`(z)((a+)?(b+)?(c))*`, "", "zaacbbbcac", "0:zaacbbbcac|z|ac|a|-|c"},
		{`a[a-z]{2,4}?`, "", "abcdefghi", "0:abc"},
		{`a[a-z]{2,4}`, "", "abcdefghi", "0:abcde"},
		{`(aa|aabaac|ba|b|c)*`, "", "aabaac", "0:aaba|ba"},
		{`(a*)*`, "", "b", "0:|-"},
		{`(?:a*?)+b`, "", "aab", "0:aab"},
		{`(?=(a+))`, "", "baaabac", "1:|aaa"},
		{`(?=(a+))a*b\1`, "", "baaabac", "3:aba|a"},
		{`(.*?)a(?!(a+)b\2c)\2(.*)`, "", "baaabaac", "0:baaabaac|ba|-|abaac"},
		{`(?<=\$)\d+(\.\d*)?`, "", "cost $10.50", "6:10.50|.50"},
		{`(?<=(\d+)(\d+))$`, "", "1053", "4:|1|053"},
		{`(?<!a)b`, "", "abb", "2:b"},
		{`(?<y>\d{4})-\k<y>`, "", "2018-2018", "0:2018-2018|2018"},
		{`\bfoo\b`, "", "afoo foo", "5:foo"},
		{`\Boo`, "", "foo", "1:oo"},
		{`^b`, "m", "a\nb", "2:b"},
		{`^b`, "", "a\nb", "none"},
		{`a$`, "m", "a\r\nb", "0:a"},
		{`a$`, "", "a\n", "none"},
		{`HeLLo`, "i", "say hello", "4:hello"},
		{`[^a-z]+`, "i", "abcD12", "4:12"},
		{`(é)\1`, "i", "éÉ", "0:éÉ|é"},
		{`[\d-x]+`, "", "1-x9", "0:1-x9"},
		{`[^]`, "", "\n", "0:\n"},
		{`[]`, "", "a", "none"},
		{`\u0041\x42\cJ\0`, "", "AB\n\x00", "0:AB\n\x00"},
		{`\ud83d\ude00`, "", "x😀", "1:😀"},
		{`a{,2}`, "", "a{,2}", "0:a{,2}"},
		{`x{0}y`, "", "xy", "1:y"},
		{`\w+\s\W`, "", "ab\u00a0!", "0:ab\u00a0!"},
		{`.`, "", "\u2028x", "3:x"},
		{`\2(a)`, "", "\x02a", "0:\x02a|a"},
		{`a**`, "", "a", "!invalid regular expression /a**/: nothing to repeat"},
		{`(a`, "", "a", "!invalid regular expression /(a/: a group is not closed"},
		{`a)`, "", "a", "!invalid regular expression /a)/: unmatched )"},
		{`[b-a]`, "", "a", "!invalid regular expression /[b-a]/: a range of a class is out of order"},
		{`a{2,1}`, "", "a", "!invalid regular expression /a{2,1}/: numbers out of order in a quantifier"},
		{`[a`, "", "a", "!invalid regular expression /[a/: a class is not closed"},
	} {
		if got := find(t, tt.pattern, tt.flags, tt.s); got != tt.want {
			t.Errorf("/%s/%s on %q: got %q, want %q", tt.pattern, tt.flags, tt.s, got, tt.want)
		}
	}
}

func TestBudget(t *testing.T) {
	for _, pattern := range []string{`(a+)+$`, `(a|a)*$`, `(?=(a+)+$)b`, `(.*a){20}$`, `(a*)*(a*)*$`} {
		re, err := Compile(pattern, "")
		if err != nil {
			t.Fatal(err)
		}
		budget := 100_000
		if _, err := re.Find(strings.Repeat("a", 40)+"!", 0, &budget); !errors.Is(err, ErrBudget) {
			t.Errorf("/%s/: got %v", pattern, err)
		}
	}
	if _, err := Compile("("+strings.Repeat("(a{900}){900}", 3)+")", ""); err == nil {
		t.Error("a pattern that writes out to millions of steps was compiled")
	}
}

func FuzzFind(f *testing.F) {
	for _, s := range [][2]string{{`(a|b)*?\1(?=c)`, "ababc"}, {`[^\W\d-x]{2,}$`, "ab"}, {`(?<n>.)\k<n>`, "aa"}, {`(?<=a\b)`, "a"}} {
		f.Add(s[0], "im", s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, flags, s string) {
		re, err := Compile(pattern, flags)
		if err != nil {
			return
		}
		budget := 20_000
		places, err := re.Find(s, 0, &budget)
		if err == nil && places != nil && (places[0] < 0 || places[1] < places[0] || places[1] > len(s)) {
			t.Fatalf("/%s/ on %q: %v", pattern, s, places)
		}
	})
}

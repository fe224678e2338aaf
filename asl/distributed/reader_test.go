package distributed

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"switchyard/asl"
)

func texts(s itemSource) (string, error) {
	var out []string
	for it, err := range s {
		if err != nil {
			return strings.Join(out, " "), err
		}
		out = append(out, it.input().JSON())
	}
	return strings.Join(out, " "), nil
}

func TestCSVItems(t *testing.T) {
	given := &asl.ReaderConfig{CSVHeaderLocation: "GIVEN", CSVHeaders: []string{"a", "b"}}
	for name, c := range map[string]struct {
		config *asl.ReaderConfig
		text   string
		want   string
	}{
		"first row":            {nil, "a,b\n1,2\n3,4\n", `{"a":"1","b":"2"} {"a":"3","b":"4"}`},
		"no newline at end":    {nil, "a,b\n1,2", `{"a":"1","b":"2"}`},
		"carriage returns":     {nil, "a,b\r\n1,2\r\n", `{"a":"1","b":"2"}`},
		"byte order mark":      {nil, "\xef\xbb\xbfa,b\n1,2\n", `{"a":"1","b":"2"}`},
		"empty lines":          {nil, "\na,b\n\n1,2\n\n\n", `{"a":"1","b":"2"}`},
		"given headers":        {given, "1,2\n", `{"a":"1","b":"2"}`},
		"too few fields":       {given, "1\n", `{"a":"1","b":""}`},
		"too many fields":      {given, "1,2,3\n", `{"a":"1","b":"2"}`},
		"empty fields":         {given, ",\n", `{"a":"","b":""}`},
		"quoted comma":         {given, "\"1,1\",2\n", `{"a":"1,1","b":"2"}`},
		"quoted newline":       {given, "\"1\n1\",2\n", `{"a":"1\n1","b":"2"}`},
		"doubled quotes":       {given, "\"say \"\"hi\"\"\",2\n", `{"a":"say \"hi\"","b":"2"}`},
		"doubled outside":      {given, "{\"\"k\"\":\"\"v\"\"},2\n", `{"a":"{\"k\":\"v\"}","b":"2"}`},
		"empty quotes":         {given, "\"\",2\n", `{"a":"","b":"2"}`},
		"backslash backslash":  {given, `C:\\Files\\x,2`, `{"a":"C:\\Files\\x","b":"2"}`},
		"backslash comma":      {given, `1\,1,2`, `{"a":"1,1","b":"2"}`},
		"backslash quote":      {given, `\"1\",2`, `{"a":"\"1\"","b":"2"}`},
		"backslash other":      {given, `\n1,2`, `{"a":"n1","b":"2"}`},
		"pipe":                 {&asl.ReaderConfig{CSVDelimiter: "PIPE"}, "a|b\n1,1|2\n", `{"a":"1,1","b":"2"}`},
		"semicolon":            {&asl.ReaderConfig{CSVDelimiter: "SEMICOLON"}, "a;b\n1;2\n", `{"a":"1","b":"2"}`},
		"space":                {&asl.ReaderConfig{CSVDelimiter: "SPACE"}, "a b\n1 2\n", `{"a":"1","b":"2"}`},
		"tab":                  {&asl.ReaderConfig{CSVDelimiter: "TAB"}, "a\tb\n1\t2\n", `{"a":"1","b":"2"}`},
		"nothing":              {nil, "", ``},
		"headers alone":        {nil, "a,b\n", ``},
		"invalid UTF-8":        {given, "\xff,2\n", `{"a":"�","b":"2"}`},
		"header of same names": {nil, "a,a\n1,2\n", `{"a":"2"}`},
	} {
		t.Run(name, func(t *testing.T) {
			config := c.config
			if config == nil {
				config = &asl.ReaderConfig{CSVHeaderLocation: "FIRST_ROW"}
			}
			got, err := texts(csvItems(strings.NewReader(c.text), config))
			if err != nil || got != c.want {
				t.Errorf("%s, %v\nwant %s", got, err, c.want)
			}
		})
	}
	for name, text := range map[string]string{
		"line 1 has a quotation mark that is not closed": "\"a\n1\n2",
		"line 2 is larger than":                          "a\n\"" + strings.Repeat("x", maxItem+1),
		"the headers take":                               strings.Repeat("h", maxHeaders+1) + "\n",
	} {
		if _, err := texts(csvItems(strings.NewReader(text), &asl.ReaderConfig{})); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that says %q", err, name)
		}
	}
}

func TestGivenHeadersAreUnique(t *testing.T) {
	twice := &asl.ReaderConfig{CSVHeaderLocation: "GIVEN", CSVHeaders: []string{"id", "city", "id"}}
	if got, err := texts(csvItems(strings.NewReader("1,2,3\n"), twice)); err == nil || got != "" || err.Error() != "CSV headers cannot contain duplicates." {
		t.Errorf("%s, %v, want it to fail", got, err)
	}
}

func TestJSONItems(t *testing.T) {
	for name, c := range map[string]struct{ text, pointer, want string }{
		"array":         {`[1, {"a": [2]}, "x", null, 1.0, 12345678901234567890]`, "", `1 {"a":[2]} "x" null 1.0 12345678901234567890`},
		"empty array":   {` [] `, "", ``},
		"object":        {`{"a": 1, "b": [2]}`, "", `{"Key":"a","Value":1} {"Key":"b","Value":[2]}`},
		"pointer":       {`{"x": [[1, {"items": 9}]], "data": {"no": 1, "items": [3, 4]}, "z": 5}`, "/data/items", `3 4`},
		"into an array": {`{"a": [[1], [2, 3]]}`, "/a/1", `2 3`},
		"escaped":       {`{"a/b": {"c~d": [1]}}`, "/a~1b/c~0d", `1`},
		"empty key":     {`{"": [1]}`, "/", `1`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := texts(jsonItems(strings.NewReader(c.text), c.pointer))
			if err != nil || got != c.want {
				t.Errorf("%s, %v\nwant %s", got, err, c.want)
			}
		})
	}
	for name, c := range map[string]struct{ text, pointer, want string }{
		"not JSON":       {`not`, "", "invalid character"},
		"cut off":        {`[1, 2`, "", "EOF"},
		"nothing":        {``, "", "EOF"},
		"scalar":         {`{"a": 1}`, "/a", "Attempting to map over non-iterable node."},
		"no such member": {`{"a": [1]}`, "/b", "The provided ReaderConfig.ItemsPointer does not match any valid path in the JSON structure."},
		"no such index":  {`[[1]]`, "/1", "ItemsPointer does not match"},
		"through scalar": {`{"a": 1}`, "/a/b", "ItemsPointer does not match"},
		"no slash":       {`{"a": [1]}`, "a", "ItemsPointer does not match"},
		"huge item":      {`["` + strings.Repeat("x", maxItem+readBuffer) + `"]`, "", "larger than"},
		"huge passed by": {`{"x":"` + strings.Repeat("x", maxItem+readBuffer) + `","a":[]}`, "/a", "larger than"},
		"too deep":       {strings.Repeat("[", 20_000), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := texts(jsonItems(strings.NewReader(c.text), c.pointer))
			if err == nil {
				t.Fatal("no error")
			}
			cause := err.Error()
			var known *asl.Error
			if errors.As(err, &known) {
				cause = known.Cause
			}
			if !strings.Contains(cause, c.want) {
				t.Errorf("%s\nwant %s", cause, c.want)
			}
		})
	}
}

func TestLineItems(t *testing.T) {
	got, err := texts(lineItems(strings.NewReader("{\"a\":1}\r\n\n  [2]\n\"x\"")))
	if want := `{"a":1} [2] "x"`; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	for want, text := range map[string]string{
		"line 3: ":              "1\n\n{",
		"line 2 is longer than": "1\n" + strings.Repeat(" ", maxItem+1),
	} {
		if _, err := texts(lineItems(strings.NewReader(text))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func TestItemsEndAtTheirMaximum(t *testing.T) {
	got, err := texts(lineItems(strings.NewReader("1\n2\n3\nnot JSON")).first(2))
	if err != nil || got != "1 2" {
		t.Errorf("%s, %v; want 1 2", got, err)
	}
}

// endless writes a file's lines as it is read.
type endless struct {
	head, line, tail string
	lines            int
	rest             string
	state            int
}

func (e *endless) Read(p []byte) (int, error) {
	for e.rest == "" {
		switch {
		case e.state == 0:
			e.rest, e.state = e.head, 1
		case e.state == 1 && e.lines > 0:
			e.rest = e.line
			if e.lines--; e.lines == 0 {
				e.rest = strings.TrimRight(e.line, ",")
			}
		case e.state == 1:
			e.rest, e.state = e.tail, 2
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// TestReadersHoldOneItem reads files of 100,000 lines and 10 MB: what is in
// memory at any time must be a small part of that.
func TestReadersHoldOneItem(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 40 MB")
	}
	filling := strings.Repeat("x", 100)
	for name, s := range map[string]itemSource{
		"CSV":   csvItems(&endless{head: "a,b\n", line: "1," + filling + "\n", lines: 100_000}, &asl.ReaderConfig{}),
		"JSON":  jsonItems(&endless{head: `{"skip":[`, line: `"` + filling + `",`, lines: 50_000, tail: `],"data":[1]}`}, "/data"),
		"array": jsonItems(&endless{head: `[`, line: `"` + filling + `",`, lines: 100_000, tail: `]`}, ""),
		"JSONL": lineItems(&endless{line: `"` + filling + "\"\n", lines: 100_000}),
	} {
		t.Run(name, func(t *testing.T) {
			n, most := 0, uint64(0)
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for _, err := range s {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n%20_000 == 0 {
					runtime.GC()
					runtime.ReadMemStats(&now)
					most = max(most, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
				}
			}
			if want := map[string]int{"JSON": 1}[name]; want == 0 && n != 100_000 || want != 0 && n != want {
				t.Errorf("%d items", n)
			}
			if most > 1<<20 {
				t.Errorf("%d bytes were held", most)
			}
		})
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("a,b\n\"1\"\"\",\\\"2\n", "COMMA")
	f.Add("a|b\r\n|", "PIPE")
	f.Fuzz(func(t *testing.T, text, delimiter string) {
		n := 0
		for _, err := range csvItems(strings.NewReader(text), &asl.ReaderConfig{CSVDelimiter: delimiter}) {
			if n++; n > len(text)+1 {
				t.Fatal("more records than bytes")
			}
			if err != nil {
				return
			}
		}
	})
}

func FuzzJSONItems(f *testing.F) {
	f.Add(`{"a":[1,{"b":2}]}`, "/a")
	f.Add(`[[1],[2]]`, "/1")
	f.Fuzz(func(t *testing.T, text, pointer string) {
		n := 0
		for it, err := range jsonItems(strings.NewReader(text), pointer) {
			if n++; n > len(text)+1 {
				t.Fatal("more items than bytes")
			}
			if err != nil {
				return
			}
			_ = it.input().JSON()
		}
	})
}

// BenchmarkReaders reports the cost of an item, which must not grow with their
// number.
func BenchmarkReaders(b *testing.B) {
	for _, lines := range []int{1_000, 100_000} {
		for name, make := range map[string]func() itemSource{
			"CSV": func() itemSource {
				return csvItems(&endless{head: "a,b\n", line: "1,2\n", lines: lines}, &asl.ReaderConfig{})
			},
			"JSON": func() itemSource {
				return jsonItems(&endless{head: "[", line: `{"a":1},`, lines: lines, tail: "]"}, "")
			},
			"JSONL": func() itemSource { return lineItems(&endless{line: "{\"a\":1}\n", lines: lines}) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, lines), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					for _, err := range make() {
						if err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/item")
			})
		}
	}
}

package openapi

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func small(t *testing.T, method string) *Operation {
	t.Helper()
	d, err := Load(filepath.Join("testdata", "small.json"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := d.Operation(method, "/things/{id}")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestRequest(t *testing.T) {
	for name, row := range map[string]struct{ method, query, body, want string }{
		"as described":     {"POST", "", `{"name":"abc"}`, ""},
		"null":             {"POST", "", `{"name":null,"kind":"a"}`, ""},
		"a query":          {"GET", "page=2", "", ""},
		"misspelt query":   {"GET", "pages=2", "", `no parameter "pages"`},
		"a body too many":  {"GET", "", `{}`, "takes no body"},
		"missing":          {"POST", "", `{"kind":"a"}`, "name"},
		"too long":         {"POST", "", `{"name":"abcdef"}`, "maxLength"},
		"not of the enum":  {"POST", "", `{"name":"a","kind":"c"}`, "enum"},
		"misspelt":         {"POST", "", `{"name":"a","knd":"a"}`, `no member "knd"`},
		"another type":     {"POST", "", `{"name":7}`, "name"},
		"not JSON at all":  {"POST", "", `{`, "JSON"},
		"an optional body": {"POST", "", "", ""},
	} {
		query, err := url.ParseQuery(row.query)
		if err != nil {
			t.Fatal(err)
		}
		err = small(t, row.method).Request(query, []byte(row.body))
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
}

func TestAnswer(t *testing.T) {
	for name, row := range map[string]struct {
		code       int
		body, want string
	}{
		"as described":            {200, `[{"id":1,"parent":null},{"id":2,"parent":{"id":1,"parent":null},"free":{"x":1}}]`, ""},
		"a member is missing":     {200, `[{"id":1}]`, "parent"},
		"missing below":           {200, `[{"id":1,"parent":{"id":2}}]`, "parent"},
		"a member too many":       {200, `[{"id":1,"parent":null,"x":1}]`, `no member "x"`},
		"another code":            {202, ``, "does not answer 202"},
		"a failure, described":    {404, `{"massage":"no"}`, "message"},
		"a failure, undescribed":  {403, `{"message":"no"}`, ""},
		"no body where none is":   {204, ``, ""},
		"a body where none is":    {204, `{}`, "no body"},
		"what has not changed":    {304, ``, ""},
		"not the type of the API": {200, `{"id":1,"parent":null}`, "type"},
	} {
		err := small(t, "GET").Answer(row.code, []byte(row.body))
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	d, err := Load(filepath.Join("testdata", "small.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Operation("GET", "/other"); err == nil {
		t.Error("a path that is not described is taken")
	}
	if _, err := d.Operation("PUT", "/things/{id}"); err == nil {
		t.Error("a method that is not described is taken")
	}
	other := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(other, []byte(`{"swagger":"2.0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(other); err == nil {
		t.Error("version 2 is taken")
	}
	var none *Description
	if o, err := none.Operation("GET", "/x"); o.Request(nil, nil) != nil || o.Answer(999, nil) != nil || err != nil {
		t.Error("without a description something is checked")
	}
}

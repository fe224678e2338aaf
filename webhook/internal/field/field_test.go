package field_test

import (
	"strings"
	"testing"

	"switchyard/webhook/internal/field"
)

var sha1, sha256 = strings.Repeat("0a", 20), strings.Repeat("0b", 32)

func TestSHA(t *testing.T) {
	for name, row := range map[string]struct {
		in, want string
		bad      bool
	}{
		"SHA-1":      {in: sha1, want: sha1},
		"SHA-256":    {in: sha256, want: sha256},
		"upper case": {in: strings.ToUpper(sha1), want: sha1},
		"empty":      {in: "", bad: true},
		"short":      {in: sha1[1:], bad: true},
		"long":       {in: sha1 + "0", bad: true},
		"not hex":    {in: "g" + sha1[1:], bad: true},
		"an option":  {in: "--" + sha1[2:], bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := field.SHA("after", row.in)
			if (err != nil) != row.bad || got != row.want || err != nil && !strings.HasPrefix(err.Error(), "after: ") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if got, err := field.Tip("before", strings.Repeat("0", 40)); got != "" || err != nil {
		t.Errorf("zeros: %q, %v", got, err)
	}
	if got, err := field.Tip("before", sha1); got != sha1 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := field.Tip("before", ""); err == nil {
		t.Error("an empty tip passed")
	}
}

func TestShortSHA(t *testing.T) {
	for in, want := range map[string]string{
		sha1[:12]: sha1[:12], strings.ToUpper(sha1[:7]): sha1[:7], sha1[:39]: sha1[:39],
		"": "", sha1[:6]: "", sha1: "", "--" + sha1[:10]: "", "main567": "",
	} {
		if got, err := field.ShortSHA("hash", in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestRef(t *testing.T) {
	for in, ok := range map[string]bool{
		"refs/heads/main": true, "refs/tags/v1": true, "refs/heads/feature/$(touch x)": true, "refs/heads/feature/../../x": true,
		"refs/heads/feature/<script>": true, "refs/heads/日本語": true, "refs/heads/" + strings.Repeat("n", 255): true,
		"": false, "main": false, "heads/main": false, "refs/": false, "refs/heads/": false, "refs/heads/a/": false,
		"refs/heads/a\nb": false, "refs/heads/a\x00": false, "refs/heads/\x1b[m": false, "refs/heads/a\x7f": false,
		"refs/heads/" + strings.Repeat("n", 1024): false,
	} {
		if err := field.Ref("ref", in); (err == nil) != ok || err != nil && strings.ContainsAny(err.Error(), "\n\x00\x1b") {
			t.Errorf("%q: %v", in, err)
		}
	}
	if field.Branch("head", "a") != nil || field.Branch("head", "") == nil {
		t.Error("a short name must be there, and suffices")
	}
}

func TestRepository(t *testing.T) {
	for in, ok := range map[string]bool{
		"acme/api-v2": true, "acme/team/api": true, "acme/.github": true, "é/x y": true,
		"": false, "api": false, "/api": false, "acme/": false, "acme//api": false, "acme/..": false, "./api": false,
		`acme\api/x`: false, "acme/a\nb": false, "a/" + strings.Repeat("n", 512): false,
	} {
		if err := field.Repository("repository.full_name", in, 2); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
	if err := field.Repository("repository.name", "api", 1); err != nil {
		t.Error(err)
	}
}

func TestDeliveryID(t *testing.T) {
	for in, ok := range map[string]bool{
		"72d3162e-cc78-11e3-81ab-4c9367dc0958": true, "x": true,
		"": false, "a b": false, "a\n": false, "é": false, strings.Repeat("a", 129): false,
	} {
		if err := field.DeliveryID("X-Id", in); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "X-Id") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

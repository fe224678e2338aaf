package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"switchyard/webhook"
)

// GitHub's test vector, from "Validating webhook deliveries".
const (
	vectorSecret    = "It's a Secret to Everybody"
	vectorBody      = "Hello, World!"
	vectorSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func verify(t *testing.T, secrets []string, signature, body string) error {
	t.Helper()
	v, err := webhook.NewHMAC("X-Hub-Signature-256", secrets)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if signature != "" {
		h.Set("X-Hub-Signature-256", signature)
	}
	return v.Verify(h, []byte(body))
}

func TestHMACVerify(t *testing.T) {
	hexOf := strings.TrimPrefix(vectorSignature, "sha256=")
	for name, row := range map[string]struct {
		secrets   []string
		signature string
		body      string
		want      error
	}{
		"GitHub's vector":      {[]string{vectorSecret}, vectorSignature, vectorBody, nil},
		"upper-case hex":       {[]string{vectorSecret}, "sha256=" + strings.ToUpper(hexOf), vectorBody, nil},
		"second of two":        {[]string{"new", vectorSecret}, vectorSignature, vectorBody, nil},
		"first of two":         {[]string{vectorSecret, "old"}, vectorSignature, vectorBody, nil},
		"another secret":       {[]string{"another"}, vectorSignature, vectorBody, webhook.ErrSignatureMismatch},
		"another body":         {[]string{vectorSecret}, vectorSignature, vectorBody + "\n", webhook.ErrSignatureMismatch},
		"empty body":           {[]string{vectorSecret}, vectorSignature, "", webhook.ErrSignatureMismatch},
		"wrong last digit":     {[]string{vectorSecret}, vectorSignature[:len(vectorSignature)-1] + "8", vectorBody, webhook.ErrSignatureMismatch},
		"missing":              {[]string{vectorSecret}, "", vectorBody, webhook.ErrSignatureMissing},
		"truncated":            {[]string{vectorSecret}, vectorSignature[:len(vectorSignature)-2], vectorBody, webhook.ErrSignatureMalformed},
		"too long":             {[]string{vectorSecret}, vectorSignature + "00", vectorBody, webhook.ErrSignatureMalformed},
		"not hex":              {[]string{vectorSecret}, vectorSignature[:len(vectorSignature)-1] + "g", vectorBody, webhook.ErrSignatureMalformed},
		"no prefix":            {[]string{vectorSecret}, hexOf, vectorBody, webhook.ErrSignatureMalformed},
		"SHA-1":                {[]string{vectorSecret}, "sha1=" + hexOf, vectorBody, webhook.ErrSignatureMalformed},
		"prefix alone":         {[]string{vectorSecret}, "sha256=", vectorBody, webhook.ErrSignatureMissing},
		"space before the hex": {[]string{vectorSecret}, "sha256= " + hexOf, vectorBody, webhook.ErrSignatureMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			err := verify(t, row.secrets, row.signature, row.body)
			if !errors.Is(err, row.want) {
				t.Fatalf("error %v, want %v", err, row.want)
			}
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), "X-Hub-Signature-256") || strings.Contains(err.Error(), vectorSecret) || strings.Contains(err.Error(), hexOf[:20]) {
				t.Errorf("text %q: it names the header, and neither secret nor signature", err)
			}
		})
	}
}

// Gitea, Forgejo and Gogs have headers of their own, which hold bare digits.
func TestHMACReadsBareHeadersWhereItsOwnIsAbsent(t *testing.T) {
	v, err := webhook.NewHMAC("X-Hub-Signature-256", []string{vectorSecret}, "X-Gitea-Signature", "X-Gogs-Signature")
	if err != nil {
		t.Fatal(err)
	}
	digits := strings.TrimPrefix(vectorSignature, "sha256=")
	wrong := strings.Repeat("0", 64)
	for name, row := range map[string]struct {
		header http.Header
		want   error
		names  string // the header that the error names
	}{
		"first":                    {header: http.Header{"X-Gitea-Signature": {digits}}},
		"second":                   {header: http.Header{"X-Gogs-Signature": {digits}}},
		"first is empty":           {header: http.Header{"X-Gitea-Signature": {""}, "X-Gogs-Signature": {digits}}},
		"with a prefix":            {http.Header{"X-Gitea-Signature": {vectorSignature}}, webhook.ErrSignatureMalformed, "X-Gitea-Signature"},
		"wrong":                    {http.Header{"X-Gitea-Signature": {wrong}}, webhook.ErrSignatureMismatch, "X-Gitea-Signature"},
		"the first there counts":   {http.Header{"X-Gitea-Signature": {wrong}, "X-Gogs-Signature": {digits}}, webhook.ErrSignatureMismatch, "X-Gitea-Signature"},
		"its own header counts":    {http.Header{"X-Hub-Signature-256": {"sha256=" + wrong}, "X-Gitea-Signature": {digits}}, webhook.ErrSignatureMismatch, "X-Hub-Signature-256"},
		"a malformed own one":      {http.Header{"X-Hub-Signature-256": {"x"}, "X-Gitea-Signature": {digits}}, webhook.ErrSignatureMalformed, "X-Hub-Signature-256"},
		"a webhook without secret": {http.Header{"X-Hub-Signature-256": {"sha256="}, "X-Gitea-Signature": {""}}, webhook.ErrSignatureMissing, "no secret"},
		"two values":               {http.Header{"X-Gogs-Signature": {digits, digits}}, webhook.ErrSignatureMalformed, "X-Gogs-Signature"},
		"all empty":                {http.Header{"X-Gitea-Signature": {""}, "X-Gogs-Signature": {""}}, webhook.ErrSignatureMissing, "X-Hub-Signature-256"},
	} {
		t.Run(name, func(t *testing.T) {
			err := v.Verify(row.header, []byte(vectorBody))
			if !errors.Is(err, row.want) || err != nil && !strings.Contains(err.Error(), row.names) {
				t.Errorf("error %v, want %v about %q", err, row.want, row.names)
			}
			pre := v.Precheck(row.header)
			if told := err != nil && !errors.Is(err, webhook.ErrSignatureMismatch); (pre != nil) != told || told && pre.Error() != err.Error() {
				t.Errorf("Precheck says %v, Verify %v", pre, err)
			}
		})
	}
}

func TestHMACRefusesSeveralSignatures(t *testing.T) {
	v, err := webhook.NewHMAC("x-hub-signature-256", []string{vectorSecret})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"X-Hub-Signature-256": {vectorSignature, vectorSignature}}
	if err := v.Verify(h, []byte(vectorBody)); !errors.Is(err, webhook.ErrSignatureMalformed) {
		t.Errorf("error %v", err)
	}
}

func TestNewHMACNeedsSecrets(t *testing.T) {
	for name, secrets := range map[string][]string{"none": nil, "an empty one": {""}, "an empty one among others": {"a", ""}} {
		t.Run(name, func(t *testing.T) {
			if _, err := webhook.NewHMAC("X-Sig", secrets); err == nil || !strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSignIsWhatVerifyAccepts(t *testing.T) {
	if got := webhook.Sign(vectorSecret, []byte(vectorBody)); got != vectorSignature {
		t.Errorf("%s, want %s", got, vectorSignature)
	}
}

func FuzzHMACVerify(f *testing.F) {
	f.Add(vectorSignature, []byte(vectorBody))
	f.Add("sha256=", []byte(""))
	f.Add("sha256="+strings.Repeat("0", 64), []byte("{}"))
	f.Add("sha1=00", []byte{0xff})
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		v, err := webhook.NewHMAC("X-Sig", []string{"other", vectorSecret})
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, []byte(vectorSecret))
		mac.Write(body)
		mac2 := hmac.New(sha256.New, []byte("other"))
		mac2.Write(body)
		lower := strings.ToLower(signature)
		want := (lower == fmt.Sprintf("sha256=%x", mac.Sum(nil)) || lower == fmt.Sprintf("sha256=%x", mac2.Sum(nil))) && strings.HasPrefix(signature, "sha256=")
		if got := v.Verify(http.Header{"X-Sig": {signature}}, body) == nil; got != want {
			t.Errorf("Verify(%q, %q) = %v, want %v", signature, body, got, want)
		}
		if err := v.Verify(http.Header{"X-Sig": {webhook.Sign("other", body)}}, body); err != nil {
			t.Error(err)
		}
	})
}

package gitlab_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchyard/webhook"
	"switchyard/webhook/gitlab"
)

// A vector computed apart from this code, after the form that GitLab describes.
const (
	vectorToken     = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	vectorID        = "77aa817c-c11e-51af-b868-fc9667acee4a"
	vectorTime      = 1767607200
	vectorSignature = "v1,6/50LQUcT4PlstllPodh3/aNCh8gks/BhPShoeWUE88="
	vectorBody      = `{"object_kind":"push","ref":"refs/heads/main"}`
)

func signingToken(key string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(key))
}

func sign(key, id string, at int64, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(id + "." + strconv.FormatInt(at, 10) + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func vectorHeader(change func(http.Header)) http.Header {
	h := http.Header{}
	h.Set("webhook-id", vectorID)
	h.Set("webhook-timestamp", strconv.Itoa(vectorTime))
	h.Set("webhook-signature", vectorSignature)
	if change != nil {
		change(h)
	}
	return h
}

func clock(after time.Duration) gitlab.Option {
	return gitlab.WithClock(func() time.Time { return time.Unix(vectorTime, 0).Add(after) })
}

func TestVerifySignature(t *testing.T) {
	const other = "another key, of 32 bytes and more"
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	for name, row := range map[string]struct {
		secrets []string
		after   time.Duration
		change  func(http.Header)
		body    string
		want    error
	}{
		"the vector":            {secrets: []string{vectorToken}},
		"one of several tokens": {secrets: []string{signingToken(other), "plain", vectorToken}},
		"one of several values": {secrets: []string{vectorToken}, change: set("webhook-signature", "v1a,xyz "+sign(other, "", 0, "")+" "+vectorSignature)},
		"nearly too old":        {secrets: []string{vectorToken}, after: 5 * time.Minute},
		"nearly too new":        {secrets: []string{vectorToken}, after: -5 * time.Minute},
		"too old":               {secrets: []string{vectorToken}, after: 5*time.Minute + time.Second, want: webhook.ErrSignatureMismatch},
		"too new":               {secrets: []string{vectorToken}, after: -5*time.Minute - time.Second, want: webhook.ErrSignatureMismatch},
		"another body":          {secrets: []string{vectorToken}, body: vectorBody + " ", want: webhook.ErrSignatureMismatch},
		"another ID":            {secrets: []string{vectorToken}, change: set("webhook-id", "other"), want: webhook.ErrSignatureMismatch},
		"another time":          {secrets: []string{vectorToken}, change: set("webhook-timestamp", strconv.Itoa(vectorTime+1)), want: webhook.ErrSignatureMismatch},
		"another key":           {secrets: []string{signingToken(other)}, want: webhook.ErrSignatureMismatch},
		"a wrong signature beside the right secret token": {
			secrets: []string{vectorToken, secret}, body: "x", change: set("X-Gitlab-Token", secret), want: webhook.ErrSignatureMismatch,
		},
		"a right signature beside a wrong secret token": {secrets: []string{vectorToken}, change: set("X-Gitlab-Token", "x")},
		"signed, and no signing token":                  {secrets: []string{secret}, want: webhook.ErrSignatureMissing},
		"signed, and the secret token counts":           {secrets: []string{secret}, change: set("X-Gitlab-Token", secret)},
		"no signature":                                  {secrets: []string{vectorToken}, change: func(h http.Header) { h.Del("webhook-signature") }, want: webhook.ErrSignatureMissing},
		"an empty signature":                            {secrets: []string{vectorToken}, change: set("webhook-signature", ""), want: webhook.ErrSignatureMalformed},
		"not base64":                                    {secrets: []string{vectorToken}, change: set("webhook-signature", "v1,%%"), want: webhook.ErrSignatureMalformed},
		"too short":                                     {secrets: []string{vectorToken}, change: set("webhook-signature", "v1,AAAA"), want: webhook.ErrSignatureMalformed},
		"another version only":                          {secrets: []string{vectorToken}, change: set("webhook-signature", "v2,AAAA"), want: webhook.ErrSignatureMalformed},
		"many values":                                   {secrets: []string{vectorToken}, change: set("webhook-signature", strings.Repeat(vectorSignature+" ", 11)), want: webhook.ErrSignatureMalformed},
		"twice":                                         {secrets: []string{vectorToken}, change: func(h http.Header) { h.Add("webhook-signature", vectorSignature) }, want: webhook.ErrSignatureMalformed},
		"no ID":                                         {secrets: []string{vectorToken}, change: func(h http.Header) { h.Del("webhook-id") }, want: webhook.ErrSignatureMalformed},
		"no time":                                       {secrets: []string{vectorToken}, change: func(h http.Header) { h.Del("webhook-timestamp") }, want: webhook.ErrSignatureMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := gitlab.New(gitlab.Config{Secrets: row.secrets}, clock(row.after))
			if err != nil {
				t.Fatal(err)
			}
			body := row.body
			if body == "" {
				body = vectorBody
			}
			h := vectorHeader(row.change)
			if err = s.Verify(h, []byte(body)); !errors.Is(err, row.want) {
				t.Fatalf("error %v, want %v", err, row.want)
			}
			// What the header alone tells is told before the body is read.
			if early := s.Precheck(h); row.want == nil && early != nil || early != nil && !errors.Is(early, row.want) {
				t.Errorf("before the body: %v", early)
			}
		})
	}
}

func TestVerifyATimeThatIsNone(t *testing.T) {
	const key = "0123456789abcdef"
	s, err := gitlab.New(gitlab.Config{Secrets: []string{signingToken(key)}}, clock(0))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(vectorID + ".soon."))
	h := vectorHeader(func(h http.Header) {
		h.Set("webhook-timestamp", "soon")
		h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	})
	if err = s.Verify(h, nil); !errors.Is(err, webhook.ErrSignatureMalformed) {
		t.Errorf("error %v", err)
	}
}

func TestVerifySecretToken(t *testing.T) {
	s, err := gitlab.New(gitlab.Config{Secrets: []string{"former", secret, vectorToken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		values []string
		want   error
	}{
		"the secret":                 {[]string{secret}, nil},
		"one that is rotated out":    {[]string{"former"}, nil},
		"none":                       {nil, webhook.ErrSignatureMissing},
		"an empty one":               {[]string{""}, webhook.ErrSignatureMissing},
		"another":                    {[]string{secret + "x"}, webhook.ErrSignatureMismatch},
		"the beginning":              {[]string{secret[:5]}, webhook.ErrSignatureMismatch},
		"two":                        {[]string{secret, secret}, webhook.ErrSignatureMalformed},
		"a signing token, in plain":  {[]string{vectorToken}, nil},
		"a signing token's key only": {[]string{"0123456789abcdef0123456789abcdef"}, webhook.ErrSignatureMismatch},
	} {
		h := http.Header{"X-Gitlab-Token": row.values}
		for _, err := range []error{s.Precheck(h), s.Verify(h, []byte("any body"))} {
			if !errors.Is(err, row.want) {
				t.Errorf("%s: error %v, want %v", name, err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "former") {
				t.Errorf("%s: a secret is shown: %v", name, err)
			}
		}
	}
}

func TestNewNeedsSecrets(t *testing.T) {
	for name, secrets := range map[string][]string{
		"none": nil, "empty": {""}, "one is empty": {"a", ""},
		"no signing token": {"whsec_"}, "not base64": {"whsec_a secret"}, "a short key": {"whsec_AAAA"},
	} {
		if _, err := gitlab.New(gitlab.Config{Secrets: secrets}); err == nil || !strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

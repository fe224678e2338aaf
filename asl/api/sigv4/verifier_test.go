package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"switchyard/asl/api/sigv4"
)

// The keys and the time of AWS's published test suite.
const (
	suiteID     = "AKIDEXAMPLE"
	suiteSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var suiteTime = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

func verifier(t *testing.T, service string, now time.Time) *sigv4.Verifier {
	t.Helper()
	v, err := sigv4.New(sigv4.Config{
		Service: service, KeysAt: "See the file.", Now: func() time.Time { return now },
		Keys: []sigv4.Key{{ID: "OTHER", Secret: "other"}, {ID: suiteID, Secret: suiteSecret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPublishedVectors holds the verifier to AWS's signature version 4 test
// suite.
func TestPublishedVectors(t *testing.T) {
	for _, tc := range []struct {
		name, method, target, body string
		headers                    [][2]string
		signed, signature          string
	}{
		{"get-vanilla", "GET", "/", "", nil, "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "", nil, "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"post-vanilla", "POST", "/", "", nil, "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-x-www-form-urlencoded", "POST", "/", "Param1=value1", [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}}, "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{"get-header-value-trim", "GET", "/", "", [][2]string{{"My-Header1", " value1"}, {"My-Header2", ` "a   b   c"`}}, "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, tc.target, strings.NewReader(tc.body))
			r.Host = "example.amazonaws.com"
			for _, h := range tc.headers {
				r.Header.Add(h[0], h[1])
			}
			r.Header.Set("X-Amz-Date", "20150830T123600Z")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="+tc.signed+", Signature="+tc.signature)
			if err := verifier(t, "service", suiteTime).Verify(r, []byte(tc.body)); err != nil {
				t.Error(err)
			}
		})
	}
}

const action = `{"name": "x"}`

// signed is a request as the SDK signs it, at suiteTime.
func signed(t *testing.T, c aws.Credentials, target string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(action))
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "AWSStepFunctions.StartExecution")
	r.Header.Set("X-Note", "two  words ")
	sign(t, r, c, sum(action), suiteTime)
	return r
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

func sign(t *testing.T, r *http.Request, c aws.Credentials, payload string, at time.Time) {
	t.Helper()
	if err := v4.NewSigner().SignHTTP(context.Background(), c, r, payload, "states", "eu-west-1", at); err != nil {
		t.Fatal(err)
	}
}

var good = aws.Credentials{AccessKeyID: suiteID, SecretAccessKey: suiteSecret}

func TestVerifierTakesWhatTheSDKSigns(t *testing.T) {
	for _, target := range []string{"/", "/?a=1&b=x%20y&a=0&c", "/a%20b/c~d"} {
		r := signed(t, good, target)
		for _, now := range []time.Time{suiteTime, suiteTime.Add(sigv4.Skew), suiteTime.Add(-sigv4.Skew)} {
			v := verifier(t, "states", now)
			if err := errors.Join(v.Precheck(r), v.Verify(r, []byte(action))); err != nil {
				t.Errorf("%s at %v: %v", target, now, err)
			}
		}
	}
}

func TestVerifierRefuses(t *testing.T) {
	const (
		header = "Authorization"
		start  = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/states/aws4_request, "
	)
	edit := func(old, changed string) func(*http.Request) {
		return func(r *http.Request) {
			was := r.Header.Get(header)
			if r.Header.Set(header, strings.Replace(was, old, changed, 1)); r.Header.Get(header) == was {
				panic("nothing was changed")
			}
		}
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		code   string
		says   string
	}{
		{"no signature", func(r *http.Request) { r.Header.Del(header) }, sigv4.CodeMissing, "Missing Authentication Token"},
		{"an empty one", set(header, " "), sigv4.CodeMissing, "Missing"},
		{"a bearer token", set(header, "Bearer x"), sigv4.CodeIncomplete, "AWS4-HMAC-SHA256"},
		{"asymmetric", edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), sigv4.CodeIncomplete, "AWS4-HMAC-SHA256"},
		{"two of them", func(r *http.Request) { r.Header.Add(header, r.Header.Get(header)) }, sigv4.CodeIncomplete, "several"},
		{"in the query", func(r *http.Request) {
			r.Header.Del(header)
			r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
		}, sigv4.CodeIncomplete, "query"},
		{"without Signature", set(header, start+"SignedHeaders=host;x-amz-date"), sigv4.CodeIncomplete, "'Signature'"},
		{"without SignedHeaders", set(header, start+"Signature=00"), sigv4.CodeIncomplete, "'SignedHeaders'"},
		{"without Credential", set(header, "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00"), sigv4.CodeIncomplete, "'Credential'"},
		{"a parameter twice", edit("Signature=", "Signature=00, Signature="), sigv4.CodeIncomplete, "twice"},
		{"a short scope", edit("/aws4_request", ""), sigv4.CodeIncomplete, "Credential"},
		{"a long scope", edit("AKIDEXAMPLE", "AKID/EXAMPLE"), sigv4.CodeIncomplete, "Credential"},
		{"a strange key", edit("AKIDEXAMPLE", "AKID\x1bEXAMPLE"), sigv4.CodeIncomplete, "Credential"},
		{"an unknown key", edit("AKIDEXAMPLE", "AKIDEXAMPLF"), sigv4.CodeUnknownKey, "See the file."},
		{"another's key", edit("AKIDEXAMPLE", "OTHER"), sigv4.CodeInvalid, "does not match"},
		{"another region", edit("eu-west-1", "us-east-1"), sigv4.CodeInvalid, "does not match"},
		{"another service", edit("/states/", "/s3/"), sigv4.CodeInvalid, "'states'"},
		{"another day", edit("20150830", "20150829"), sigv4.CodeInvalid, "20150829"},
		{"a session token", set("X-Amz-Security-Token", "t"), sigv4.CodeUnknownKey, "AWS_SESSION_TOKEN"},
		{"no time", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, sigv4.CodeIncomplete, "X-Amz-Date"},
		{"two times", func(r *http.Request) { r.Header.Add("X-Amz-Date", "20150830T123600Z") }, sigv4.CodeIncomplete, "X-Amz-Date"},
		{"no such time", set("X-Amz-Date", "20150830"), sigv4.CodeIncomplete, "X-Amz-Date"},
		{"another time", set("X-Amz-Date", "20150830T123601Z"), sigv4.CodeInvalid, "does not match"},
		{"another host", func(r *http.Request) { r.Host = "evil.example" }, sigv4.CodeInvalid, "does not match"},
		{"another method", func(r *http.Request) { r.Method = "PUT" }, sigv4.CodeInvalid, "does not match"},
		{"another path", func(r *http.Request) { r.URL.Path = "/x" }, sigv4.CodeInvalid, "does not match"},
		{"another query", func(r *http.Request) { r.URL.RawQuery = "a=1" }, sigv4.CodeInvalid, "does not match"},
		{"another action", set("X-Amz-Target", "AWSStepFunctions.DeleteStateMachine"), sigv4.CodeInvalid, "does not match"},
		{"a second action", func(r *http.Request) { r.Header.Add("X-Amz-Target", "AWSStepFunctions.DeleteStateMachine") }, sigv4.CodeInvalid, "does not match"},
		{"another type", set("Content-Type", "application/json"), sigv4.CodeInvalid, "does not match"},
		{"a header gone", func(r *http.Request) { r.Header.Del("X-Note") }, sigv4.CodeInvalid, "x-note"},
		{"a header more", set("X-Amz-Meta", "1"), sigv4.CodeInvalid, "x-amz-meta"},
		{"the action unsigned", edit(";x-amz-target", ""), sigv4.CodeInvalid, "x-amz-target"},
		{"the time unsigned", edit(";x-amz-date", ""), sigv4.CodeInvalid, "x-amz-date"},
		{"the host unsigned", edit("host;", ""), sigv4.CodeInvalid, "Host"},
		{"unsorted", edit("x-amz-date;x-amz-target", "x-amz-target;x-amz-date"), sigv4.CodeIncomplete, "sorted"},
		{"twice", edit("host;", "host;host;"), sigv4.CodeIncomplete, "once"},
		{"capitals", edit("host;", "Host;"), sigv4.CodeIncomplete, "lower case"},
		{"another signature", edit("Signature=", "Signature=0"), sigv4.CodeInvalid, "does not match"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := signed(t, good, "/")
			tc.change(r)
			wants(t, verifier(t, "states", suiteTime).Verify(r, []byte(action)), tc.code, tc.says)
		})
	}
	t.Run("another body", func(t *testing.T) {
		wants(t, verifier(t, "states", suiteTime).Verify(signed(t, good, "/"), []byte(`{"name": "y"}`)), sigv4.CodeInvalid, "does not match")
	})
	t.Run("another secret", func(t *testing.T) {
		r := signed(t, aws.Credentials{AccessKeyID: suiteID, SecretAccessKey: "guess"}, "/")
		wants(t, verifier(t, "states", suiteTime).Verify(r, []byte(action)), sigv4.CodeInvalid, "does not match")
	})
	t.Run("temporary credentials", func(t *testing.T) {
		r := signed(t, aws.Credentials{AccessKeyID: suiteID, SecretAccessKey: suiteSecret, SessionToken: "t"}, "/")
		wants(t, verifier(t, "states", suiteTime).Verify(r, []byte(action)), sigv4.CodeUnknownKey, "security token")
	})
	for _, payload := range []string{"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", sum("another")} {
		t.Run(payload, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(action))
			r.Header.Set("X-Amz-Content-Sha256", payload)
			sign(t, r, good, payload, suiteTime)
			wants(t, verifier(t, "states", suiteTime).Verify(r, []byte(action)), sigv4.CodeInvalid, "x-amz-content-sha256")
		})
	}
	for name, now := range map[string]time.Time{
		"Signature expired":         suiteTime.Add(sigv4.Skew + time.Second),
		"Signature not yet current": suiteTime.Add(-sigv4.Skew - time.Second),
	} {
		wants(t, verifier(t, "states", now).Precheck(signed(t, good, "/")), sigv4.CodeInvalid, name)
	}
}

func wants(t *testing.T, err error, code, says string) {
	t.Helper()
	var refused *sigv4.Error
	if !errors.As(err, &refused) || refused.Code != code || !strings.Contains(refused.Message, says) {
		t.Errorf("got %v, want %s that says %q", err, code, says)
	}
}

// A real server's requests differ from made ones in where they keep the host
// and the length.
func TestVerifierOverTheNetwork(t *testing.T) {
	v := verifier(t, "states", suiteTime)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err = errors.Join(err, v.Verify(r, body)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	defer web.Close()
	for _, target := range []string{"", "/", "/?x=%2F&y=a+b"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+target, strings.NewReader(action))
		if err != nil {
			t.Fatal(err)
		}
		sign(t, r, good, sum(action), suiteTime)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%q: %s", target, bytes.TrimSpace(text))
		}
	}
}

func TestNewRefusesKeysThatVerifyNothing(t *testing.T) {
	for name, keys := range map[string][]sigv4.Key{
		"no access keys":  nil,
		"secret of A is":  {{ID: "A"}},
		"is not 1 to 128": {{Secret: "s"}},
		"given twice":     {{ID: "A", Secret: "s"}, {ID: "A", Secret: "t"}},
		`"a/b"`:           {{ID: "a/b", Secret: "s"}},
	} {
		if _, err := sigv4.New(sigv4.Config{Service: "states", Keys: keys}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

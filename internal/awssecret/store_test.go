//go:build unix

package awssecret

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"switchyard/internal/awsaccess"
	"switchyard/internal/awstest"
)

func TestSecretsOfAWS(t *testing.T) {
	moto := awstest.Moto(t)
	awstest.Isolate(t)
	t.Setenv("AWS_ENDPOINT_URL", moto)
	loaded, err := awsaccess.Load(t.Context(), awsaccess.Settings{Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	manager, parameters := secretsmanager.NewFromConfig(loaded), ssm.NewFromConfig(loaded)
	made, err := manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("prod/hook"), SecretString: aws.String(`{"webhook":"first"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("binary"), SecretBinary: []byte("-----BEGIN\n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/switchyard/token"), Value: aws.String("t0ken"), Type: ssmtypes.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	byARN := Ref{Name: aws.ToString(made.ARN), Key: "webhook"}
	wanted := []Wanted{
		{Ref{Name: "prod/hook", Key: "webhook"}, true}, {byARN, true}, {Ref{Name: "prod/hook"}, false}, {Ref{Name: "binary"}, false},
		{Ref{Parameter: true, Name: "/switchyard/token"}, true},
	}
	r := New()
	settings := Settings{Settings: awsaccess.Settings{Region: "eu-west-1"}}
	check := func(want ...string) {
		t.Helper()
		got := r.Resolve(t.Context(), settings, wanted)
		for i, w := range wanted {
			if a := got[w.Ref]; a.Err != nil || a.Text+"|"+a.Previous != want[i] {
				t.Errorf("%s: %q, previous %q, %v; want %q", w.Ref, a.Text, a.Previous, a.Err, want[i])
			}
		}
	}
	check("first|", "first|", `{"webhook":"first"}|`, "-----BEGIN|", "t0ken|")
	if r.Refresh(t.Context()) {
		t.Error("changed, though nothing was")
	}
	if _, err := manager.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("prod/hook"), SecretString: aws.String(`{"webhook":"second"}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/switchyard/token"), Value: aws.String("t1ken"), Overwrite: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if !r.Refresh(t.Context()) {
		t.Error("the rotation was not seen")
	}
	rotated := []string{"second|first", "second|first", `{"webhook":"second"}|{"webhook":"first"}`, "-----BEGIN|", "t1ken|"}
	rotated[2] = `{"webhook":"second"}|` // it stands alone, not in a list
	check(rotated...)

	// An ARN says its region; a name needs one.
	t.Setenv("AWS_REGION", "")
	got := r.Resolve(t.Context(), Settings{}, []Wanted{{byARN, false}})
	if a := got[byARN]; a.Text != "second" {
		t.Errorf("by its ARN without a region: %+v", a)
	}
	unknown := Ref{Name: "other"}
	if a := r.Resolve(t.Context(), Settings{}, []Wanted{{unknown, false}})[unknown]; a.Err == nil || !strings.Contains(a.Err.Error(), "aws_secrets.region") {
		t.Errorf("without a region: %+v", a)
	}
	a := r.Resolve(t.Context(), settings, []Wanted{{unknown, false}})[unknown]
	if a.Err == nil || !strings.HasPrefix(a.Err.Error(), "aws-secret:other: ResourceNotFoundException: ") || strings.Contains(a.Err.Error(), "RequestID") {
		t.Errorf("one that is not there: %v", a.Err)
	}
}

// AWS's refusals say which permission is missing.
func TestRefusalsNameThePermission(t *testing.T) {
	awstest.Isolate(t)
	calls := 0
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	from, err := openStore(t.Context(), awsaccess.Settings{Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id     id
		answer string
		want   []string
	}{
		{id{false, "a"}, `{"__type":"AccessDeniedException","Message":"User x is not authorized to perform: secretsmanager:GetSecretValue"}`,
			[]string{"AccessDeniedException", "User x is not", "allow secretsmanager:GetSecretValue, and kms:Decrypt"}},
		{id{false, "a"}, `{"__type":"DecryptionFailure","Message":"no key"}`, []string{"DecryptionFailure: no key", "kms:Decrypt"}},
		{id{true, "/a"}, `{"__type":"AccessDeniedException","message":"no identity-based policy allows the kms:Decrypt action"}`,
			[]string{"allow ssm:GetParameter, and kms:Decrypt"}},
		{id{true, "/a"}, `{"__type":"ParameterNotFound","message":""}`, []string{"ParameterNotFound"}},
	} {
		answer = c.answer
		_, err := from.get(t.Context(), c.id, true, time.Now())
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", c.answer, err, want)
			}
		}
	}
	if calls != 4 {
		t.Errorf("%d calls: a refusal was tried again", calls)
	}
	calls, answer = 0, `{"__type":"ThrottlingException","message":"slow down"}`
	if _, err := from.get(t.Context(), id{false, "a"}, false, time.Now()); err == nil || calls != attempts {
		t.Errorf("throttled: %d calls, %v", calls, err)
	}
}

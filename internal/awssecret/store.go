package awssecret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"switchyard/internal/awsaccess"
)

// attempts is how often one secret is asked for before it counts as not to be
// read, and pause the longest wait between them: a start or an invocation waits
// for it.
const (
	attempts = 3
	pause    = time.Second
)

// store is AWS, called with some settings.
type store struct {
	region     string
	secrets    *secretsmanager.Client
	parameters *ssm.Client
}

func openStore(ctx context.Context, settings awsaccess.Settings) (reader, error) {
	loaded, err := awsaccess.Load(ctx, settings)
	if err != nil {
		return nil, err
	}
	again := func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, pause })
	}
	return &store{
		region:     loaded.Region,
		secrets:    secretsmanager.NewFromConfig(loaded, func(o *secretsmanager.Options) { o.Retryer = again() }),
		parameters: ssm.NewFromConfig(loaded, func(o *ssm.Options) { o.Retryer = again() }),
	}, nil
}

// versions are the texts of a secret.
type versions struct {
	current, previous string
	// rotated is when current was made.
	rotated time.Time
}

func (s *store) get(ctx context.Context, i id, previous bool, now time.Time) (versions, error) {
	region := Ref{Name: i.name}.region()
	if region == "" && s.region == "" {
		return versions{}, errors.New("no region is known; set aws_secrets.region, or AWS_REGION in the environment")
	}
	if i.parameter {
		out, err := s.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &i.name, WithDecryption: aws.Bool(true)})
		if err != nil {
			return versions{}, plain(err, "ssm:GetParameter")
		}
		if out.Parameter == nil {
			return versions{}, errors.New("AWS answered without the parameter")
		}
		return versions{current: aws.ToString(out.Parameter.Value)}, nil
	}
	current, err := s.version(ctx, i.name, region, "AWSCURRENT")
	if err != nil {
		return versions{}, plain(err, "secretsmanager:GetSecretValue")
	}
	v := versions{current: textOf(current), rotated: aws.ToTime(current.CreatedDate)}
	if !previous || now.Sub(v.rotated) >= PreviousFor {
		return v, nil
	}
	before, err := s.version(ctx, i.name, region, "AWSPREVIOUS")
	if missing := new(smtypes.ResourceNotFoundException); errors.As(err, &missing) {
		return v, nil // never rotated
	}
	if err != nil {
		return versions{}, plain(err, "secretsmanager:GetSecretValue")
	}
	v.previous = textOf(before)
	return v, nil
}

func (s *store) version(ctx context.Context, name, region, stage string) (*secretsmanager.GetSecretValueOutput, error) {
	return s.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &stage}, func(o *secretsmanager.Options) {
		if region != "" {
			o.Region = region
		}
	})
}

func textOf(out *secretsmanager.GetSecretValueOutput) string {
	if out.SecretString != nil {
		return *out.SecretString
	}
	return string(out.SecretBinary)
}

// plain is what AWS said, and what a role must be allowed so that it says
// something else.
func plain(err error, action string) error {
	said := smithy.APIError(nil)
	if !errors.As(err, &said) {
		return fmt.Errorf("%v", err)
	}
	text := said.ErrorCode() + ": " + said.ErrorMessage()
	switch code := said.ErrorCode(); {
	case strings.Contains(code, "AccessDenied"), strings.Contains(code, "Decryption"), strings.Contains(code, "InvalidKey"), strings.Contains(text, "kms:"), strings.Contains(text, "KMS"):
		return fmt.Errorf("%s (allow %s, and kms:Decrypt where a KMS key of your own encrypts it)", text, action)
	}
	return errors.New(text)
}

// pick is the whole text, or that of a key of a JSON object. Its errors show
// nothing of the text.
func pick(text, key string) (string, error) {
	if key != "" {
		var fields map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &fields) != nil || fields == nil {
			return "", fmt.Errorf("the secret is not a JSON object, and #%s asks for a key of one", key)
		}
		raw, ok := fields[key]
		if !ok || string(raw) == "null" {
			return "", fmt.Errorf("the secret's JSON has no key %q", key)
		}
		if text = string(raw); raw[0] == '"' {
			if err := json.Unmarshal(raw, &text); err != nil {
				return "", fmt.Errorf("the key %q of the secret's JSON is not a text", key)
			}
		}
	}
	text = strings.TrimRight(text, "\r\n")
	if strings.TrimSpace(text) == "" {
		return "", errors.New("the secret is empty; an empty secret would let anyone in")
	}
	return text, nil
}

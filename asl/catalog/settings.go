package catalog

import (
	"reflect"
	"slices"

	"switchyard/asl/apierror"
)

// Settings are the configurations of a state machine that are kept and shown,
// without effect on one machine; nil where none was given. Their JSON is the
// API's.
type Settings struct {
	Logging    *Logging    `json:"logging,omitempty"`
	Tracing    *Tracing    `json:"tracing,omitempty"`
	Encryption *Encryption `json:"encryption,omitempty"`
}

// Logging is a LoggingConfiguration.
type Logging struct {
	// Level is ALL, ERROR, FATAL or OFF; "" is OFF.
	Level                string            `json:"level"`
	IncludeExecutionData bool              `json:"includeExecutionData"`
	Destinations         *[]LogDestination `json:"destinations,omitempty"`
}

// LogDestination is where logs would go.
type LogDestination struct {
	CloudWatchLogsLogGroup *LogGroup `json:"cloudWatchLogsLogGroup,omitempty"`
}

// LogGroup is a log group of CloudWatch Logs.
type LogGroup struct {
	LogGroupArn string `json:"logGroupArn,omitempty"`
}

// Tracing is a TracingConfiguration.
type Tracing struct {
	Enabled bool `json:"enabled"`
}

// Encryption is an EncryptionConfiguration.
type Encryption struct {
	// Type is AWS_OWNED_KEY or CUSTOMER_MANAGED_KMS_KEY.
	Type     string `json:"type"`
	KMSKeyID string `json:"kmsKeyId,omitempty"`
	// KMSDataKeyReusePeriodSeconds is 0 where none was given.
	KMSDataKeyReusePeriodSeconds int `json:"kmsDataKeyReusePeriodSeconds,omitempty"`
}

const (
	logOff      = "OFF"
	ownedKey    = "AWS_OWNED_KEY"
	customerKey = "CUSTOMER_MANAGED_KMS_KEY"
)

// Shown are the settings as Step Functions shows them: with its defaults where
// none was given.
func (s Settings) Shown() Settings {
	switch {
	case s.Logging == nil:
		s.Logging = &Logging{Level: logOff}
	case s.Logging.Level == "":
		shown := *s.Logging
		shown.Level = logOff
		s.Logging = &shown
	}
	if s.Tracing == nil {
		s.Tracing = &Tracing{}
	}
	if s.Encryption == nil {
		s.Encryption = &Encryption{Type: ownedKey}
	}
	return s
}

func (s Settings) equal(t Settings) bool { return reflect.DeepEqual(s.Shown(), t.Shown()) }

// over are the settings of which those of an update replace what they have.
func (s Settings) over(u Settings) Settings {
	if u.Logging != nil {
		s.Logging = u.Logging
	}
	if u.Tracing != nil {
		s.Tracing = u.Tracing
	}
	if u.Encryption != nil {
		s.Encryption = u.Encryption
	}
	return s
}

// check refuses what Step Functions refuses.
func (s Settings) check() error {
	if l := s.Logging; l != nil && l.Level != "" && l.Level != logOff {
		if err := oneOf("loggingConfiguration.level", l.Level, "ALL", "ERROR", "FATAL", logOff); err != nil {
			return err
		}
		if !l.oneDestination() {
			return apierror.New(apierror.CodeInvalidLogging, "Invalid Logging Configuration: Must specify exactly one Log Destination.")
		}
	}
	e := s.Encryption
	if e == nil {
		return nil
	}
	if e.Type == "" {
		return apierror.New(apierror.CodeValidation, "1 validation error detected: Value null at 'encryptionConfiguration.type' failed to satisfy constraint: Member must not be null")
	}
	if err := oneOf("encryptionConfiguration.type", e.Type, ownedKey, customerKey); err != nil {
		return err
	}
	if e.Type == customerKey && e.KMSKeyID == "" {
		return apierror.New(apierror.CodeInvalidEncryption, "Invalid Encryption Configuration: %s needs a kmsKeyId.", customerKey)
	}
	if e.Type == ownedKey && (e.KMSKeyID != "" || e.KMSDataKeyReusePeriodSeconds != 0) {
		return apierror.New(apierror.CodeInvalidEncryption, "Invalid Encryption Configuration: kmsKeyId and kmsDataKeyReusePeriodSeconds are for %s.", customerKey)
	}
	return nil
}

// oneDestination reports whether there is one, and it names a log group.
func (l *Logging) oneDestination() bool {
	if l.Destinations == nil || len(*l.Destinations) != 1 {
		return false
	}
	group := (*l.Destinations)[0].CloudWatchLogsLogGroup
	return group != nil && group.LogGroupArn != ""
}

func oneOf(field, v string, allowed ...string) error {
	if slices.Contains(allowed, v) {
		return nil
	}
	return apierror.NotOneOf(field, v, allowed...)
}

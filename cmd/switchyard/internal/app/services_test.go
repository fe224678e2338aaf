//go:build unix

package app

import (
	"strings"
	"testing"

	"switchyard/config"
	"switchyard/internal/awstest"
)

func TestServicesOfAWSNeedARegion(t *testing.T) {
	awstest.Isolate(t)
	if options, _, err := awsServices(t.Context(), nil); err != nil || options != nil {
		t.Errorf("without engine.embedded.aws: %d handlers, %v", len(options), err)
	}
	if _, _, err := awsServices(t.Context(), &config.Services{}); err == nil || !strings.Contains(err.Error(), "engine.embedded.aws.region") {
		t.Errorf("%v", err)
	}
	if options, bus, err := awsServices(t.Context(), &config.Services{Region: "eu-west-1"}); err != nil || len(options) == 0 || bus == nil {
		t.Errorf("%d handlers, %v", len(options), err)
	}
}

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
	if options, bus, err := awsServices(t.Context(), nil, nil); err != nil || len(options) != 1 || bus != nil {
		t.Errorf("without engine.embedded.aws: %d handlers, %v", len(options), err)
	}
	if _, _, err := awsServices(t.Context(), &config.Services{}, nil); err == nil || !strings.Contains(err.Error(), "engine.embedded.aws.region") {
		t.Errorf("%v", err)
	}
	if options, bus, err := awsServices(t.Context(), &config.Services{Region: "eu-west-1"}, nil); err != nil || len(options) < 5 || bus == nil {
		t.Errorf("%d handlers, %v", len(options), err)
	}
}

package awssign_test

import (
	"testing"

	"switchyard/internal/awssign"
)

// The example of AWS's documentation, "get-vanilla" of its test suite for
// Signature Version 4.
func TestSignIsWhatAWSComputes(t *testing.T) {
	canonical := "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	got := awssign.Scope{Time: "20150830T123600Z", Region: "us-east-1", Service: "service"}.Sign("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", canonical)
	if want := "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

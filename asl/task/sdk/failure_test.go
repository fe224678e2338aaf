package sdk

import "testing"

func TestErrorsHaveTheNamesOfTheSDKForJava(t *testing.T) {
	for shape, want := range map[string]string{
		"ConditionalCheckFailedException": "ConditionalCheckFailedException",
		"NoSuchKey":                       "NoSuchKeyException",
		"ActivityDoesNotExist":            "ActivityDoesNotExistException",
		"DBClusterNotFoundFault":          "DbClusterNotFoundException",
		"InvalidKMSKeyException":          "InvalidKmsKeyException",
		"KMSInternal":                     "KmsInternalException",
	} {
		if got := className(shape); got != want {
			t.Errorf("%s: %s, want %s", shape, got, want)
		}
	}
}

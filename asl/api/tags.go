package api

import (
	"context"

	"switchyard/asl/catalog"
	"switchyard/asl/engine"
)

type resourceIn struct {
	ResourceArn string `json:"resourceArn"`
}

type tagResourceIn struct {
	resourceIn
	Tags []catalog.Tag `json:"tags"`
}

func tagResource(ctx context.Context, e *engine.Engine, in *tagResourceIn) (*empty, error) {
	if err := required("resourceArn", in.ResourceArn); err != nil {
		return nil, err
	}
	if in.Tags == nil {
		return nil, required("tags", "")
	}
	return &empty{}, e.Catalog().Tag(ctx, in.ResourceArn, in.Tags)
}

type untagResourceIn struct {
	resourceIn
	TagKeys []string `json:"tagKeys"`
}

func untagResource(ctx context.Context, e *engine.Engine, in *untagResourceIn) (*empty, error) {
	if err := required("resourceArn", in.ResourceArn); err != nil {
		return nil, err
	}
	if in.TagKeys == nil {
		return nil, required("tagKeys", "")
	}
	return &empty{}, e.Catalog().Untag(ctx, in.ResourceArn, in.TagKeys)
}

type listTagsForResourceOut struct {
	Tags []catalog.Tag `json:"tags"`
}

func listTagsForResource(ctx context.Context, e *engine.Engine, in *resourceIn) (*listTagsForResourceOut, error) {
	if err := required("resourceArn", in.ResourceArn); err != nil {
		return nil, err
	}
	tags, err := e.Catalog().Tags(ctx, in.ResourceArn)
	if tags == nil {
		tags = []catalog.Tag{}
	}
	return &listTagsForResourceOut{tags}, err
}

/* examples/cpp/plan.c -- a convolution from C: create, run, destroy */
#include <nhwc/c_api.h>
#include <stdio.h>

int main(void) {
  /* The mean of the 3 x 3 neighbours of each of 5 x 5 points. */
  float x[25], y[25], w[9];
  nhwc_conv_options options;
  nhwc_conv_plan* plan;
  nhwc_status status;
  int i;

  for (i = 0; i < 25; ++i) x[i] = (float)(i % 5);
  for (i = 0; i < 9; ++i) w[i] = 1.0f / 9;

  nhwc_conv_options_init(&options, sizeof options);
  options.batch = options.in_channels = options.out_channels = 1;
  for (i = 0; i < 2; ++i) {
    options.input[i] = 5;
    options.kernel[i] = 3;
    options.padding_low[i] = options.padding_high[i] = 1;
  }
  status = nhwc_conv_plan_create(&options, w, sizeof w, NULL, 0, &plan);
  if (status == NHWC_OK) status = nhwc_conv_plan_run(plan, x, sizeof x, y, sizeof y);
  if (status != NHWC_OK) {
    fprintf(stderr, "%s\n", nhwc_error());
    return 1;
  }
  printf("nhwc %s: in the middle %.3f, in the corner %.3f\n", nhwc_version(), y[12], y[0]);
  nhwc_conv_plan_destroy(plan);
  return 0;
}

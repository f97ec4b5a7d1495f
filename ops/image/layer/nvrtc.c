// libnvrtc.so of NVIDIA's layer. The compiler that Debian 12 has (CUDA 11.8) takes a kernel for C++98
// unless it is told otherwise, and burn, which is made for newer ones, does not tell it. Everything
// else is Debian's: this file is linked with it, and its symbols are found behind ours.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_OF_MEMORY = 1 };

typedef int compile(void *program, int count, const char *const *options);

int nvrtcCompileProgram(void *program, int count, const char *const *options) {
  void *debian = dlopen(DEBIAN, RTLD_LAZY | RTLD_NOLOAD);
  compile *next = debian ? (compile *)dlsym(debian, "nvrtcCompileProgram") : NULL;
  const char **all = malloc((count + 1) * sizeof *all);
  if (!next || !all) {
    free(all);
    return OUT_OF_MEMORY;
  }
  int told = 0;
  for (int i = 0; i < count; i++) {
    all[i] = options[i];
    told |= !strncmp(options[i], "-std", 4) || !strncmp(options[i], "--std", 5);
  }
  all[count] = "-std=c++17";
  int result = next(program, told ? count : count + 1, all);
  free(all);
  return result;
}

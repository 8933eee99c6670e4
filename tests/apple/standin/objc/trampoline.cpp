// tests/apple/standin/objc/trampoline.cpp -- objc_msgSend for x86-64: finds the method, then jumps to it with all
// arguments

// Registers that may hold arguments are saved around the look-up; arguments on the stack stay where they are, since the
// method is reached by a jump. _fpret differs on Apple's x86-64 only for long double, so it is the same here. A message
// to nil returns zeros; one that returns a structure leaves it unset, which the look-up reports.

extern "C" void* nhwc_standin_find_method(void* receiver, const char* selector);
extern "C" void nhwc_standin_nil_structure(const char* selector);

asm(R"(
.text
.macro MESSAGE name receiver selector nil
.globl \name
.hidden \name
.type \name,@function
.p2align 4
\name:
  testq \receiver,\receiver
  jz \nil
  pushq %rbp
  movq %rsp,%rbp
  subq $192,%rsp
  andq $-16,%rsp
  movq %rdi,(%rsp)
  movq %rsi,8(%rsp)
  movq %rdx,16(%rsp)
  movq %rcx,24(%rsp)
  movq %r8,32(%rsp)
  movq %r9,40(%rsp)
  movq %rax,48(%rsp)
  movups %xmm0,64(%rsp)
  movups %xmm1,80(%rsp)
  movups %xmm2,96(%rsp)
  movups %xmm3,112(%rsp)
  movups %xmm4,128(%rsp)
  movups %xmm5,144(%rsp)
  movups %xmm6,160(%rsp)
  movups %xmm7,176(%rsp)
  movq \selector,%r10
  movq \receiver,%rdi
  movq %r10,%rsi
  call nhwc_standin_find_method
  movq %rax,%r11
  movq (%rsp),%rdi
  movq 8(%rsp),%rsi
  movq 16(%rsp),%rdx
  movq 24(%rsp),%rcx
  movq 32(%rsp),%r8
  movq 40(%rsp),%r9
  movq 48(%rsp),%rax
  movups 64(%rsp),%xmm0
  movups 80(%rsp),%xmm1
  movups 96(%rsp),%xmm2
  movups 112(%rsp),%xmm3
  movups 128(%rsp),%xmm4
  movups 144(%rsp),%xmm5
  movups 160(%rsp),%xmm6
  movups 176(%rsp),%xmm7
  leave
  jmp *%r11
.size \name,.-\name
.endm

nhwc_standin_nil:
  xorl %eax,%eax
  xorl %edx,%edx
  xorps %xmm0,%xmm0
  ret
nhwc_standin_nil_stret:
  movq %rdx,%rdi
  jmp nhwc_standin_nil_structure

MESSAGE objc_msgSend %rdi %rsi nhwc_standin_nil
MESSAGE objc_msgSend_fpret %rdi %rsi nhwc_standin_nil
MESSAGE objc_msgSend_stret %rsi %rdx nhwc_standin_nil_stret
)");

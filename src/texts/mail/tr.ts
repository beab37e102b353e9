import type { MailTexts } from "./en.ts";

export const tr: MailTexts = {
  code: {
    button: "Devam edin",
    orContinue: "Veya buradan devam edin:",
    validity: "Kod yalnızca bir kez kullanılabilir. İstek anından itibaren geçerlilik süresi: {{duration}}.",
    secrecy: "Kim isterse istesin, kodu asla kimseyle paylaşmayın.",
  },
  verification: {
    subject: "{{service}} için bu e-posta adresini doğrulama kodunuz",
    title: "E-posta adresinizi doğrulayın",
    intro: "{{service}} için bu e-posta adresini doğrulamak üzere şu kodu girin:",
    ignore:
      "Bu kodu siz istemediniz mi? O hâlde bu e-postayı dikkate almayabilirsiniz: kod olmadan hiçbir şey doğrulanmaz.",
  },
  login: {
    subject: "{{service}} için oturum açma kodunuz",
    title: "Oturum açma",
    intro: "{{service}} hizmetinde oturum açmak için şu kodu girin:",
    question: "Oturum açmayı siz denemediniz mi?",
    report: "Bunu yapanın siz olmadığınızı bildirin",
  },
  notice: {
    subject: "{{service}} hesabınızın e-posta adresleri değiştirildi",
    title: "Hesabınız değiştirildi",
    added: "{{service}} hesabınıza bir e-posta adresi eklendi.",
    verified:
      "{{service}} hesabınızdaki bir e-posta adresi doğrulandı ve artık kod almak için kullanılabilir.",
    removed: "{{service}} hesabınızdan bir e-posta adresi kaldırıldı.",
    when: "Tarih ve saat: {{time}}.",
    whenFrom: "Tarih ve saat: {{time}}, adres: {{client}}.",
    advice:
      "Bunu siz mi yaptınız? O hâlde bir şey yapmanıza gerek yok. Siz yapmadıysanız hizmeti yönetenlere hemen haber verin.",
  },
};
